/* A module whose initialisation goes wrong in the way that the variable SMARM_TEST_FAULT names. */
#include <Python.h>

static int has_fault(const char* name) {
    const char* fault = getenv("SMARM_TEST_FAULT");
    return fault != NULL && strcmp(fault, name) == 0;
}

static int execute(PyObject* module) {
    (void)module;
    if (has_fault("exec silent")) return -1;
    if (has_fault("exec raises")) PyErr_SetString(PyExc_ValueError, "raised by the exec slot");
    if (has_fault("exec both")) PyErr_SetString(PyExc_ValueError, "raised by an exec slot that returns 0");
    return has_fault("exec raises") ? -1 : 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, execute}, {0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "smarm_test_faulty", .m_slots = slots};

PyMODINIT_FUNC PyInit_smarm_test_faulty(void) {
    if (has_fault("init silent")) return NULL;
    if (has_fault("init raises")) return PyErr_Format(PyExc_ValueError, "raised by PyInit");
    if (has_fault("init both")) PyErr_SetString(PyExc_ValueError, "raised by a PyInit that returns a module");
    return PyModuleDef_Init(&definition);
}
