/* A module with two libraries of its own in smarm_test_bundled.libs, which hold its state. */
#include <Python.h>

extern long smarm_test_front_next(void);
extern void* smarm_test_base_exchange(void* given);

static PyObject* next_number(PyObject* self, PyObject* unused) {
    (void)self, (void)unused;
    return PyLong_FromLong(smarm_test_front_next());
}

static PyObject* exchange(PyObject* self, PyObject* object) {
    (void)self;
    PyObject* before = smarm_test_base_exchange(Py_NewRef(object));
    return before == NULL ? Py_NewRef(Py_None) : before;
}

static PyMethodDef functions[] = {
    {"next", next_number, METH_NOARGS, "next(): how often it was called, as two libraries have counted it: 1001, 2002, ..."},
    {"exchange", exchange, METH_O, "exchange(object): the library keeps it; return the one that it kept before, or None"},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "smarm_test_bundled", .m_methods = functions, .m_slots = slots};

PyMODINIT_FUNC PyInit_smarm_test_bundled(void) { return PyModuleDef_Init(&definition); }
