// imports.h: modules and what is in them, from C++.
//
// What:    imports as `import name` does, whatever builtins the running frame has. PyImport_ImportModule and
//          PyImport_Import take `__import__` out of them: in a frame without one (namedtuple's __new__, a sandbox) they
//          raise KeyError, in a frame with another one they run it. A test keeps them out of the project.
// Threads: the caller's thread state must be attached. Runs Python code when the module was not imported before, so it
//          can park.
#pragma once

#include <Python.h>

namespace smarm {

// Returns a new reference to the module, or nullptr with the import's exception set.
PyObject* import_module(const char* name);

// Returns a new reference to what has this name in the module, or nullptr with an exception set.
PyObject* import_attribute(const char* module, const char* name);

// Calls it. Steals `arguments`: a tuple, or nullptr with an exception set. Returns a new reference, or nullptr with an
// exception set.
PyObject* call_imported(const char* module, const char* name, PyObject* arguments);

}  // namespace smarm
