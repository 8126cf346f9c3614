// module_definition.h: what an extension module says of itself, in a private copy of it.
//
// What:    CPython makes a module in an interpreter with a GIL of its own only if its definition has the slot
//          Py_mod_multiple_interpreters with "per interpreter GIL supported". allow_own_gil() puts it into a definition
//          that lies in a copy which one interpreter has for itself: that module is allowed, and nothing else is, as it
//          would be with the override that CPython has for a whole interpreter.
//          module_of_export() makes a module of what PyModExport_<name> (PEP 793, 3.15) returns, with the same change.
// Owner:   what replaces the slots lives as long as the copy, which is for ever.
// Threads: attached to the copy's interpreter.
#pragma once

#include <Python.h>

namespace smarm {

// False with an exception set when memory is out. Twice is as once.
bool allow_own_gil(PyModuleDef& definition);

// "PyModExport_", or nullptr where CPython does not know it.
const char* module_export_prefix() noexcept;

// exported: the function of that name. Returns a new module that has not been executed, or nullptr with an exception.
PyObject* module_of_export(void* exported, PyObject* spec);

// What does as PyModule_FromSlotsAndSpec (3.15), with the same change; nullptr where CPython does not have it.
void* module_of_slots_function() noexcept;

}  // namespace smarm
