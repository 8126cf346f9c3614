#include "bind/blocking_call.h"

#include "bind/arguments.h"
#include "interp/method_table.h"
#include "smarm/interp/blocking_pool.h"
#include "smarm/interp/interpreter_state.h"

namespace smarm::bind {
namespace {

PyObject* block_on_io(PyObject*, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    Worker* worker = enter_wait("block_on_io");
    if (!worker) return nullptr;
    if (count < 1 || !PyCallable_Check(arguments[0])) {
        PyErr_SetString(PyExc_TypeError, "block_on_io() needs the function that is to be called");
        return nullptr;
    }
    Instant deadline = kNever;
    for (Py_ssize_t i = 0; i < (names ? PyTuple_GET_SIZE(names) : 0); ++i) {
        if (!PyUnicode_EqualToUTF8(PyTuple_GET_ITEM(names, i), "timeout")) {
            PyErr_Format(PyExc_TypeError,
                         "block_on_io() got an unexpected keyword argument %R; give the function its own with "
                         "functools.partial or a lambda",
                         PyTuple_GET_ITEM(names, i));
            return nullptr;
        }
        if (!read_timeout(arguments[count + i], *worker, deadline)) return nullptr;
    }
    PyObject* passed = PyTuple_New(count - 1);
    if (!passed) return nullptr;
    for (Py_ssize_t i = 1; i < count; ++i) PyTuple_SET_ITEM(passed, i - 1, Py_NewRef(arguments[i]));
    // A pool thread would end when the system likes: in a simulation the actor itself makes the call, which takes no
    // time.
    PyObject* result = worker->simulation() ? PyObject_Call(arguments[0], passed, nullptr)
                                            : interpreter_state()->blocking->call(arguments[0], passed, deadline);
    Py_DECREF(passed);
    return result;
}

}  // namespace

PyMethodDef blocking_functions[] = {
    {"block_on_io", SMARM_FAST_METHOD(block_on_io),
     "block_on_io(function, /, *args, timeout=None)\n--\n\nCall function(*args) on a thread of this worker's pool; "
     "park the actor until it "
     "returns.\n\nFor calls that block in C (files, drivers, subprocess).  Arguments, result and exception are the "
     "objects themselves.  The "
     "function is\nno actor: it cannot call smarm.  When timeout seconds pass, or the actor is stopped, the call is "
     "given up: it goes on, its "
     "result is dropped.\nRaises Timeout and whatever the function raises."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace smarm::bind
