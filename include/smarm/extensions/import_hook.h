// import_hook.h: what is to be done when an extension module is loaded.
//
// What:    _imp.create_dynamic, through which every extension module of every interpreter comes. In a worker, with
//          private copies (policy.h), a module outside of the standard library comes from a copy. Everywhere the
//          libraries are looked at that a module brought along (native_threads.h), before its code runs, and
//          thread-local variables are found that must ride the switch (tls_blocks.h). On 3.13 an exception that a
//          module raises while CPython initialises it for a worker is replaced by one of the worker's interpreter: the
//          original would end the process.
//          _ctypes.dlopen, once _ctypes is loaded: libraries of which a worker gets a copy. _imp.create_builtin:
//          faulthandler, which refuses workers, is smarm's there.
// Errors:  install: false with a Python exception set. Threads: the main interpreter must be attached.
#pragma once

namespace smarm {

bool install_import_hook();

}  // namespace smarm
