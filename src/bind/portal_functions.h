// portal_functions.h: the native part of smarm.portal(), for threads that are no workers; see pylib/smarm/_portal.py.
//
// What:    functions that take the number of a run (runtime/portal.h; 0: whichever is there), and the handle of an
//          actor that such a thread spawned, which is waited for by blocking the thread or by an eventfd.
// Threads: attached, any thread; an actor that waits is parked, not blocked.
#pragma once

#include <Python.h>

#include "smarm/interp/interpreter_state.h"

namespace smarm::bind {

// Makes the handle's type and adds it to the module. False with an exception set.
bool add_portal(PyObject* module, InterpreterState& state);

extern PyMethodDef portal_functions[];

}  // namespace smarm::bind
