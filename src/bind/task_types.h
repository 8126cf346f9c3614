// task_types.h: smarm.timeout and smarm.TaskGroup, and the waiting of join_all.
//
// What:    timeout is a CancelScope with a deadline, TaskGroup one that its children's failure cuts short; both are
//          context managers written in C, so that no exit can come between a block and its end.
#pragma once

#include <Python.h>

#include "smarm/interp/interpreter_state.h"

namespace smarm::bind {

// Makes the types for the attached interpreter and adds them to the module. False with an exception set.
bool add_task_types(PyObject* module, InterpreterState& state);

}  // namespace smarm::bind
