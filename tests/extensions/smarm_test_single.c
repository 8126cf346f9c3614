/*
 * A module of single-phase initialisation, with its state in static variables: an object, a type, an exception.
 * Built twice, as MODULE with SIZE 0 (may be initialised again) and -1 (once in a process).
 */
#include <Python.h>

#define TEXT_OF(name) #name
#define TEXT(name) TEXT_OF(name)
#define JOINED(a, b) a##b
#define INIT_OF(name) JOINED(PyInit_, name)

static PyObject* Error;
static PyObject* kept;
static long initialised;
static int64_t home;

typedef struct {
    PyObject_HEAD
    PyObject* value;
} Thing;

static int thing_init(PyObject* self, PyObject* arguments, PyObject* keywords) {
    PyObject* value;
    static char* names[] = {"value", NULL};
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O:Thing", names, &value)) return -1;
    Py_XSETREF(((Thing*)self)->value, Py_NewRef(value));
    return 0;
}

static void thing_dealloc(PyObject* self) {
    Py_XDECREF(((Thing*)self)->value);
    Py_TYPE(self)->tp_free(self);
}

static PyObject* thing_repr(PyObject* self) { return PyUnicode_FromFormat("Thing(%R)", ((Thing*)self)->value); }

static PyObject* thing_reduce(PyObject* self, PyObject* unused) {
    (void)unused;
    return Py_BuildValue("O(O)", (PyObject*)Py_TYPE(self), ((Thing*)self)->value);
}

static PyMethodDef thing_methods[] = {
    {"__reduce__", thing_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject thing_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = TEXT(MODULE) ".Thing",
    .tp_basicsize = sizeof(Thing),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .tp_new = PyType_GenericNew,
    .tp_init = thing_init,
    .tp_dealloc = thing_dealloc,
    .tp_repr = thing_repr,
    .tp_methods = thing_methods,
};

static PyObject* keep(PyObject* self, PyObject* arguments) {
    (void)self;
    PyObject *key, *value;
    if (!PyArg_ParseTuple(arguments, "OO:keep", &key, &value)) return NULL;
    if (PyDict_SetItem(kept, key, value) < 0) return NULL;
    return PyLong_FromSsize_t(PyDict_Size(kept));
}

static PyObject* fail(PyObject* self, PyObject* unused) {
    (void)self, (void)unused;
    PyErr_SetString(Error, "as it was asked to");
    return NULL;
}

static PyObject* times_initialised(PyObject* self, PyObject* unused) {
    (void)self, (void)unused;
    return PyLong_FromLong(initialised);
}

static PyObject* is_at_home(PyObject* self, PyObject* unused) {
    (void)self, (void)unused;
    return PyBool_FromLong(home == PyInterpreterState_GetID(PyInterpreterState_Get()));
}

static struct PyModuleDef definition;

static PyObject* is_found(PyObject* self, PyObject* unused) {
    (void)unused;
    return PyBool_FromLong(PyState_FindModule(&definition) == self);
}

static PyMethodDef functions[] = {
    {"keep", keep, METH_VARARGS, "keep(key, value): how many are kept in a static variable"},
    {"fail", fail, METH_NOARGS, "raises the module's Error, which is in one, too"},
    {"times_initialised", times_initialised, METH_NOARGS, "how often PyInit has run with these static variables"},
    {"is_at_home", is_at_home, METH_NOARGS, "whether PyInit ran in the interpreter that calls this"},
    {"is_found", is_found, METH_NOARGS, "whether PyState_FindModule knows the module"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = TEXT(MODULE), .m_size = SIZE, .m_methods = functions};

PyMODINIT_FUNC INIT_OF(MODULE)(void) {
    ++initialised;
    home = PyInterpreterState_GetID(PyInterpreterState_Get());
    PyObject* module = PyModule_Create(&definition);
    if (module == NULL) return NULL;
    Error = PyErr_NewException(TEXT(MODULE) ".Error", PyExc_ValueError, NULL);
    kept = PyDict_New();
    if (Error == NULL || kept == NULL || PyType_Ready(&thing_type) < 0 ||
        PyModule_AddObjectRef(module, "Error", Error) < 0 ||
        PyModule_AddObjectRef(module, "Thing", (PyObject*)&thing_type) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
