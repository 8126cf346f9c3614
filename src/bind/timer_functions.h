// timer_functions.h: smarm.send_after, smarm.interval and smarm.Timer (wait/timer.h). Timers can be sent, to be
// cancelled by others; number 16 of the codec is theirs.
#pragma once

#include <Python.h>

#include "smarm/interp/interpreter_state.h"

namespace smarm::bind {

// Makes the type for the attached interpreter and adds it and the functions to the module. False with an exception set.
bool add_timer_functions(PyObject* module, InterpreterState& state);

}  // namespace smarm::bind
