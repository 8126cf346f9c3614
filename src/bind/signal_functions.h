// signal_functions.h: links, monitors, exit signals and names, as functions of the module.
#pragma once

#include <Python.h>

#include "smarm/sched/signals.h"

#include "smarm/interp/interpreter_state.h"

namespace smarm::bind {

extern PyMethodDef signal_functions[];

// Returns the smarm.Down or smarm.Exit for the notice (new reference).
PyObject* make_notice(const Notice& notice);
// Returns a smarm.Ref (new reference).
PyObject* make_ref(MonitorRef ref);
// Reads a Pid or the name of a registered actor. False with TypeError or NotRegistered set.
bool read_address(const InterpreterState& state, Scheduler& scheduler, PyObject* address, Pid& pid);

}  // namespace smarm::bind
