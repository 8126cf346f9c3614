// pid_type.h: smarm.Pid, the Python value that names an actor.
//
// What:    an immutable heap type around Pid: hash, ==, <, repr "<pid 12.1>", attributes index and generation.
// Threads: attached. Errors: nullptr with a Python exception (no memory).
#pragma once

#include <Python.h>

#include "smarm/actor/pid.h"
#include "smarm/interp/interpreter_state.h"

namespace smarm {

// Makes the type for the attached interpreter (new reference).
PyTypeObject* create_pid_type();
// Returns a new smarm.Pid of the attached interpreter.
PyObject* make_pid(Pid pid);
inline bool is_pid(const InterpreterState& state, PyObject* object) noexcept {
    return Py_IS_TYPE(object, state.pid_type);
}
struct PidObject {
    PyObject_HEAD Pid pid;
};
// The value of a smarm.Pid.
inline Pid pid_value(PyObject* pid) noexcept { return reinterpret_cast<PidObject*>(pid)->pid; }

}  // namespace smarm
