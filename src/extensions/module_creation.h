// module_creation.h: a private copy, opened, and the module that is in it.
//
// What:    open_private_copy loads a copy for the attached interpreter and gives it the owner's functions;
//          create_module_in calls PyModExport_<name> or PyInit_<name> of it IN THIS INTERPRETER (CPython's own loader
//          calls PyInit in the main one) and makes the module: not executed yet if it has two phases.
// Errors:  ImportError, or what the module raises. Nothing is registered then; the copy stays loaded, as it does in
//          CPython, and the next attempt uses it.
// Threads: attached.
#pragma once

#include <Python.h>

namespace smarm {

// original: where the copy comes from. flags: of sys.getdlopenflags(). Returns a new reference to what stands for it,
// or nullptr with ImportError (without name and path) set.
PyObject* open_private_copy(int owner, const char* copy, const char* original, int flags);

// Raises the event that CPython raises before it loads a module. False with what a hook has raised.
bool audit_import(PyObject* spec);

bool is_private_copy(PyObject* object);

// once: it initialises itself once per process, so once per copy.
PyObject* create_module_in(PyObject* copy, PyObject* spec, bool& once);

}  // namespace smarm
