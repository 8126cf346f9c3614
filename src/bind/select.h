// select.h: select(), and the sources that are made for it: mailbox(), after(), readable(), writable().
//
// What:    a smarm.Source says what to wait for and can be used again and again; a Receiver is a source as it is.
//          select() makes the native sources (wait/select_sources.h) on the actor's stack for one call.
// Threads: attached, an actor.
#pragma once

#include <Python.h>

#include "smarm/interp/interpreter_state.h"

namespace smarm::bind {

// Makes the type smarm.Source and adds it to the module. False with an exception set.
bool add_select(PyObject* module, InterpreterState& state);

extern PyMethodDef select_functions[];

}  // namespace smarm::bind
