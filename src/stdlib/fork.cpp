#include "smarm/stdlib/fork.h"

#include "cpython/method_patch.h"
#include "smarm/interp/imports.h"

namespace smarm {
namespace {

void (*end_idle)() = nullptr;

template <int which>
PyObject* fork(const stdlib::Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
               PyObject* names) {
    if (PyInterpreterState_Get() == PyInterpreterState_Main()) end_idle();
    // Worker interpreters are made while nobody holds this GIL, too: a look, not a promise. It is what the child would
    // see.
    PyInterpreterState* newest = PyInterpreterState_Head();
    if (newest == PyInterpreterState_Main() && !PyInterpreterState_Next(newest))
        return original.call(self, values, count, names);
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) return original.call(self, values, count, names);
    PyErr_Format(
        PyExc_RuntimeError,
        "%s() would crash the child: CPython cannot fork a process that has several interpreters, and smarm's workers "
        "have one each. Use subprocess, multiprocessing's \"spawn\", fork before smarm.run, or run with workers=1",
        which == 0 ? "os.fork" : "os.forkpty");
    return nullptr;
}

}  // namespace

bool install_stdlib_fork(void (*end_idle_interpreters)()) {
    end_idle = end_idle_interpreters;
    PyObject* module = import_module("posix");
    const bool installed = module && stdlib::Patch<fork<0>>::install(module, nullptr, "fork") &&
                           stdlib::Patch<fork<1>>::install(module, nullptr, "forkpty");
    Py_XDECREF(module);
    return installed;
}

}  // namespace smarm
