// join_handle.h: smarm.JoinHandle, what spawn returns.
#pragma once

#include <Python.h>

#include "smarm/actor/pid.h"
#include "smarm/actor/relations.h"
#include "smarm/interp/interpreter_state.h"
#include "smarm/wait/join_state.h"

namespace smarm::bind {

bool create_join_handle_type(InterpreterState& state);
// Returns a new JoinHandle.
PyObject* make_join_handle(InterpreterState& state, Pid pid, Ref<JoinState> join);

// Completes a handle that was made before its actor had a pid. ref: of the spawner's monitor, or 0.
void complete_join_handle(PyObject* handle, Pid pid, MonitorRef ref) noexcept;

// Returns what join() gives for an actor that has ended: its value (a new reference), or nullptr with what it raises
// set.
PyObject* outcome_to_python(JoinState& join, Pid pid);

Pid join_handle_pid(PyObject* handle) noexcept;
JoinState& join_handle_state(PyObject* handle) noexcept;

}  // namespace smarm::bind
