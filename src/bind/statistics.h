// statistics.h: looking at the runtime from Python: counters, the actors, one actor. Nothing here runs Python code of
// the user, or parks.
//
// pybind11: results are built with its wrappers of objects, here only. Everything that can park or run Python code is a
// C-API function or type of the other files (pybind11's call guards are thread-local and would be mixed up by a switch,
// and cost 200 ns). What it makes to define a module, a function or a class, or to hold an error, outlives the
// interpreter, and one object that does keeps all memory of that interpreter, 2 MB on 3.14: it is not used.
#pragma once

#include <Python.h>

namespace smarm::bind {

extern PyMethodDef statistics_functions[];

}  // namespace smarm::bind
