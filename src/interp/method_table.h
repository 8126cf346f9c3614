// method_table.h: entries of PyMethodDef tables, function and flags.
#pragma once

#include <Python.h>

// SAFETY: CPython calls ml_meth with the signature that ml_flags names, whatever its type says.
#define SMARM_METHOD(function, flags) reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function)), flags

// (self, values, count, names), (self, values, count), (self, tuple, dict)
#define SMARM_FAST_METHOD(function) SMARM_METHOD(function, METH_FASTCALL | METH_KEYWORDS)
#define SMARM_POSITIONAL_METHOD(function) SMARM_METHOD(function, METH_FASTCALL)
#define SMARM_KEYWORD_METHOD(function) SMARM_METHOD(function, METH_VARARGS | METH_KEYWORDS)
