// python.h: the same for the layers with Python.
#ifndef SMARM_PRECOMPILED_PYTHON_H
#define SMARM_PRECOMPILED_PYTHON_H

#include <Python.h>

#include "precompiled/core.h"

#endif
