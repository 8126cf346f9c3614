// sync_types.h: smarm.Mutex, Semaphore, Event, Condition, Barrier and Once: the objects of wait/ with a timeout on
// every wait.
//
// What:    heap types (native_object.h) whose methods may park; all can be sent to other actors, which then share them.
//          The numbers 10..15 of the codec are theirs.
// Hold:    what hold() and repair() return: a context manager whose __enter__ acquires.
#pragma once

#include <Python.h>

#include "smarm/interp/interpreter_state.h"

namespace smarm::bind {

// Makes the types for the attached interpreter and adds them to the module. False with an exception set.
bool add_sync_types(PyObject* module, InterpreterState& state);

}  // namespace smarm::bind
