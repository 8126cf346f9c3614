#include "smarm/stdlib/frames.h"

#include "cpython/method_patch.h"
#include "cpython/py_compat.h"
#include "smarm/interp/imports.h"

namespace smarm {
namespace {

// What a thread state shows (new reference). nullptr: nothing, or no memory, then with an exception set.
using Look = PyObject* (*)(PyThreadState*);

PyObject* frame_of(PyThreadState* state) { return reinterpret_cast<PyObject*>(PyThreadState_GetFrame(state)); }

PyObject* exception_of(PyThreadState* state) {
    PyObject* handled = smarm_handled_exception(state);
    return Py_NewRef(handled ? handled : Py_None);
}

template <Look look>
int add_thread(PyThreadState* state, void* answer) {
    PyObject* seen = look(state);
    if (!seen) return PyErr_Occurred() ? -1 : 0;
    PyObject* ident = PyLong_FromUnsignedLong(smarm_thread_ident(state));
    const int added = ident ? PyDict_SetItem(static_cast<PyObject*>(answer), ident, seen) : -1;
    Py_XDECREF(ident);
    Py_DECREF(seen);
    return added;
}

template <Look look>
PyObject* look_at_threads(const stdlib::Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                          PyObject* names) {
    if (count != 0 || names) return original.call(self, values, count, names);
    if (PySys_Audit(look == frame_of ? "sys._current_frames" : "sys._current_exceptions", nullptr) < 0) return nullptr;
    PyObject* answer = PyDict_New();
    if (answer && smarm_visit_thread_states(PyInterpreterState_Get(), add_thread<look>, answer) != 0) Py_CLEAR(answer);
    return answer;
}

}  // namespace

bool install_stdlib_frames() {
    PyObject* module = import_module("sys");
    const stdlib::Replacement both[] = {
        stdlib::Patch<look_at_threads<frame_of>>::replacement(nullptr, "_current_frames"),
        stdlib::Patch<look_at_threads<exception_of>>::replacement(nullptr, "_current_exceptions")};
    const bool installed = module && stdlib::replace_all(module, both);
    Py_XDECREF(module);
    return installed;
}

}  // namespace smarm
