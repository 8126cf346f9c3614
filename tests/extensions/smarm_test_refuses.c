/* An extension module whose initialisation fails. */
#include <Python.h>

PyMODINIT_FUNC PyInit_smarm_test_refuses(void) {
    return PyErr_Format(PyExc_ImportError, "smarm_test_refuses refuses, for reason %d", 7);
}
