/* A module of Python 3.15's PyModExport (PEP 793): it exports slots, and no PyInit. */
#include <Python.h>

static long executed;

static PyObject* times_executed(PyObject* self, PyObject* unused) {
    (void)self, (void)unused;
    return PyLong_FromLong(executed);
}

static int execute(PyObject* module) {
    ++executed;
    return PyModule_AddIntConstant(module, "answer", 42);
}

static PyMethodDef functions[] = {
    {"times_executed", times_executed, METH_NOARGS, "how often a module was executed with these static variables"},
    {NULL, NULL, 0, NULL},
};

PyABIInfo_VAR(abi);

static PySlot slots[] = {
    PySlot_DATA(Py_mod_abi, &abi),
    PySlot_STATIC_DATA(Py_mod_name, "smarm_test_export"),
    PySlot_STATIC_DATA(Py_mod_methods, functions),
    PySlot_FUNC(Py_mod_exec, execute),
    PySlot_END,
};

PyMODEXPORT_FUNC PyModExport_smarm_test_export(void) { return slots; }
