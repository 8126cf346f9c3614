// stdlib_import.h: what is to be done when an extension module has been loaded.
//
// What:    _imp.create_dynamic, through which every extension module of every interpreter comes, has the libraries
//          looked at that the module brought along (native_threads.h), before its code runs, and finds thread-local
//          variables that must ride the switch (tls_blocks.h). On 3.13 an exception that a module raises while a worker
//          initialises it is replaced by one of the worker's interpreter: the original would end the process.
// Errors:  install: false with a Python exception set. Threads: the main interpreter must be attached.
#pragma once

namespace smarm {

bool install_stdlib_import();

}  // namespace smarm
