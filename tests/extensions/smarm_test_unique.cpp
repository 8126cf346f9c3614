// A module with STB_GNU_UNIQUE symbols: of these the loader makes one in a process, whatever their scope.
#include <Python.h>

template <class Tag>
struct Counter {
    static inline long count = 0;
};

inline long& count_of_function() {
    static long count = 0;
    return count;
}

static PyObject* next_number(PyObject*, PyObject*) {
    return PyLong_FromLong(1000 * ++Counter<int>::count + ++count_of_function());
}

static PyMethodDef functions[] = {
    {"next", next_number, METH_NOARGS,
     "next(): how often it was called, as two variables have counted it: 1001, 2002, ..."},
    {nullptr, nullptr, 0, nullptr},
};

static PyModuleDef_Slot slots[] = {{0, nullptr}};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "smarm_test_unique", nullptr, 0, functions, slots, nullptr, nullptr, nullptr};

PyMODINIT_FUNC PyInit_smarm_test_unique() { return PyModuleDef_Init(&definition); }
