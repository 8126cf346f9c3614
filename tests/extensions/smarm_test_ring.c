/* A module with two libraries in smarm_test_ring.libs that need each other. */
#include <Python.h>

extern long smarm_test_ring_left(long steps);

static PyObject* next_number(PyObject* self, PyObject* unused) {
    (void)self, (void)unused;
    return PyLong_FromLong(smarm_test_ring_left(1));
}

static PyMethodDef functions[] = {
    {"next", next_number, METH_NOARGS, "next(): how often it was called, as two libraries have counted it: 1001, 2002, ..."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "smarm_test_ring", .m_methods = functions, .m_slots = slots};

PyMODINIT_FUNC PyInit_smarm_test_ring(void) { return PyModuleDef_Init(&definition); }
