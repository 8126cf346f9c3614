// finaliser_stack.h: whether the calling thread runs a finaliser or a weakref callback.
//
// What:    CPython swallows every exception that leaves one of them, and keeps no flag that it is in one. The C stack
//          tells: it has a frame of PyObject_ClearWeakRefs or PyObject_CallFinalizerFromDealloc, which are found by
//          name, or of a generator's tp_dealloc. Of a collection's own finalisers gc.collecting tells.
// Test:    find_finalisers() runs one of each and looks. A CPython that hides them (built without unwind tables, or
//          with these functions torn apart by the compiler) is met with caution: then every call of Python code by C
//          code counts as one.
// Threads: find_finalisers once, with the main interpreter attached, before any actor runs; in_finaliser on an actor's
//          stack or a thread's, attached. Cost: microseconds, by the depth of the C stack. Takes no lock but, before
//          glibc 2.35, the loader's.
#pragma once

#include <Python.h>

namespace smarm {

// False with an exception set.
bool find_finalisers();

bool in_finaliser(PyThreadState* state) noexcept;

}  // namespace smarm
