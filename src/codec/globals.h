// codec/globals.h: functions and classes by name.
//
// What:    a global travels as (module, qualified name). The script of a program is "__main__" whatever the module is
//          called where it was loaded; a worker loads it on the first use of its name.
// Errors:  nullptr with an exception set: what importing raised, AttributeError, or NotSendable's text by the caller.
// Threads: both calls can import, so they run Python code and can park.
#pragma once

#include "codec/handle.h"
#include "codec/impl.h"

namespace smarm::codec {

// Returns the module, imported if need be.
Handle find_module(Cache& cache, PyObject* name);

// Returns the object that `module`.`qualified_name` names now.
Handle find_global(Cache& cache, PyObject* module, PyObject* qualified_name);

// Returns the name of the module in which `name` is `object`: object.__module__, or found by search as pickle does.
Handle module_of(Cache& cache, PyObject* object, PyObject* name);

// Whether `module_name` is one of the names of the program's script.
bool is_main(const Cache& cache, PyObject* module_name);

}  // namespace smarm::codec
