// Stands for native code that keeps its calls in a thread_local variable and trusts that the last one entered is left
// first: scipy's callbacks, greenlet, the borrows of PyO3. The variable has a destructor.
#include <Python.h>

#include <vector>

namespace {

thread_local std::vector<const void*> calls;

// Returns how often what was called came back to a stack of calls that it had changed.
template <class Call>
long call_often(long times, Call call) {
    const char here = 0;
    long torn = 0;
    calls.push_back(&here);
    for (long i = 0; i < times; ++i) {
        if (!call()) {
            torn = -1;
            break;
        }
        torn += calls.back() != &here;
    }
    calls.pop_back();
    return torn;
}

PyObject* call(PyObject*, PyObject* arguments) {
    PyObject* function;
    long times;
    if (!PyArg_ParseTuple(arguments, "Ol:call", &function, &times)) return nullptr;
    const long torn = call_often(times, [function] {
        PyObject* result = PyObject_CallNoArgs(function);
        Py_XDECREF(result);
        return result != nullptr;
    });
    return torn < 0 ? nullptr : PyLong_FromLong(torn);
}

PyMethodDef functions[] = {
    {"call", call, METH_VARARGS, "call(function, times): how often the stack of calls was not as it was before"},
    {nullptr, nullptr, 0, nullptr},
};

PyModuleDef_Slot slots[] = {
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
    {0, nullptr},
};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "smarm_test_thread_local", nullptr, 0, functions, slots, nullptr, nullptr, nullptr};

}  // namespace

// For ctypes.
extern "C" __attribute__((visibility("default"))) long call_plainly(void (*function)(), long times) {
    return call_often(times, [function] {
        function();
        return true;
    });
}

PyMODINIT_FUNC PyInit_smarm_test_thread_local() { return PyModuleDef_Init(&definition); }
