// copied_as_itself.h: copy.copy and copy.deepcopy of what names something, and owns nothing of its own, give the object
// itself.
#pragma once

#include <Python.h>

namespace smarm {

inline PyObject* copied_as_itself(PyObject* self, PyObject*) { return Py_NewRef(self); }

}  // namespace smarm

// Rows of a type's methods.
#define SMARM_COPIED_AS_ITSELF                                       \
    {"__copy__", ::smarm::copied_as_itself, METH_NOARGS, nullptr}, { \
        "__deepcopy__", ::smarm::copied_as_itself, METH_O, nullptr   \
    }
