/* A module of the stable ABI: one file for all versions, smarm_test_abi3.abi3.so. */
#include <Python.h>

static PyObject* doubled(PyObject* self, PyObject* value) {
    (void)self;
    return PyNumber_Add(value, value);
}

static PyType_Slot pair_slots[] = {{Py_tp_doc, "A type of the heap."}, {0, NULL}};

static PyType_Spec pair_spec = {
    .name = "smarm_test_abi3.Pair",
    .basicsize = 0,   /* its base's */
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = pair_slots,
};

static int execute(PyObject* module) {
    PyObject* type = PyType_FromSpecWithBases(&pair_spec, (PyObject*)&PyTuple_Type);
    const int failed = type == NULL ? -1 : PyModule_AddObjectRef(module, "Pair", type);
    Py_XDECREF(type);
    return failed;
}

static PyMethodDef functions[] = {
    {"doubled", doubled, METH_O, "doubled(value): value + value"},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{Py_mod_exec, execute}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "smarm_test_abi3", .m_methods = functions, .m_slots = slots};

PyMODINIT_FUNC PyInit_smarm_test_abi3(void) { return PyModuleDef_Init(&definition); }
