// io_functions.h: smarm.io (wait_readable, wait_writable, read, write, close), and how the end of a wait becomes an
// exception.
#pragma once

#include <Python.h>

#include "smarm/interp/interpreter_state.h"
#include "smarm/sched/scheduler.h"
#include "smarm/wait/fd.h"

namespace smarm::bind {

// Adds block_on_io, Connection, Listener and, as the module object _io, the functions of smarm.io to `core`. False with
// an exception set.
bool add_io(PyObject* core, InterpreterState& state);

// Raises what an end other than ready means: Closed, Timeout, ActorExit or OSError. Returns nullptr.
PyObject* raise_fd_end(const FdEnd& end, const char* timed_out, const char* closed);

// Whether `file` has bytes to read that its descriptor does not show: a connection that has read ahead. 1, 0, or -1
// with an exception set.
int has_unread(PyObject* file);

// The scheduler of the running runtime, or nullptr.
Scheduler* scheduler_or_null() noexcept;

}  // namespace smarm::bind
