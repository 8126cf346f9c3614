// module.h: smarm._core, the same in the extension module and in smarm-host.
#pragma once

#include <Python.h>

extern "C" {
// The multi-phase initialisation function that pybind11 defines.
PyMODINIT_FUNC PyInit__core();
}
