// module.h: smarm._core, the same in the extension module and in smarm-host.
#pragma once

#include <Python.h>

extern "C" {
// The multi-phase initialisation function. The extension module's own is in extension.cpp.
PyMODINIT_FUNC PyInit_smarm_core();
}
