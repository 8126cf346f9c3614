// spawn.h: smarm.spawn: checks, placement (DESIGN D8), and the way of callable and arguments to the new actor.
#pragma once

#include <Python.h>

#include <cstdint>

#include "smarm/actor/pid.h"
#include "smarm/wait/join_state.h"

namespace smarm::bind {

extern PyMethodDef spawn_functions[];

// As spawn, for a thread that is no worker, into the runtime number `run`; on the worker of `beside` if that has one.
// `join` must be shared. False with an exception set; `join` may be finished then.
bool spawn_from_outside(std::uint64_t run, Pid beside, PyObject* const* arguments, Py_ssize_t count, PyObject* names,
                        const Ref<JoinState>& join, Pid& pid);
// Raises NoRuntime for a portal to that run (0: to none yet). Returns nullptr.
PyObject* raise_not_there(std::uint64_t run);

// smarm.spawn itself, as a vectorcall: returns a JoinHandle.
PyObject* spawn(PyObject*, PyObject* const* arguments, Py_ssize_t count, PyObject* names);

}  // namespace smarm::bind
