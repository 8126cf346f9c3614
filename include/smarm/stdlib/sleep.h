// stdlib/sleep.h: time.sleep, made aware of actors.
//
// What:    replaces the C function of time.sleep (PyMethodDef.ml_meth) once per process, as stdlib/locks.h does for
//          locks: in an actor it parks, anywhere else the original decides. What is wrong with its argument is for the
//          original to say.
// Errors:  install: false with a Python exception set. Threads: the main interpreter must be attached.
#pragma once

namespace smarm {

bool install_stdlib_sleep();

}  // namespace smarm
