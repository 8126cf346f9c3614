// spawn.h: smarm.spawn: checks, placement (DESIGN D8), and the way of callable and arguments to the new actor.
#pragma once

#include <Python.h>

namespace smarm::bind {

extern PyMethodDef spawn_functions[];

// smarm.spawn itself, as a vectorcall: returns a JoinHandle.
PyObject* spawn(PyObject*, PyObject* const* arguments, Py_ssize_t count, PyObject* names);

}  // namespace smarm::bind
