#include "smarm/stdlib/socket.h"

#include <cerrno>
#include <cstring>
#include <mutex>

#include "smarm/interp/errors.h"
#include "smarm/interp/imports.h"
#include "smarm/interp/py_rider.h"
#include "smarm/interp/requested_exception.h"
#include "smarm/sched/scheduler.h"
#include "stdlib/socket_wait.h"

namespace smarm {
namespace stdlib {
namespace {

// ---- when a module is imported --------------------------------------------------------------------------------------

void install_module(PyObject* module) {
    const char* name = PyModule_Check(module) ? PyModule_GetName(module) : nullptr;
    static std::mutex mutex;  // interpreters import at the same time: one of them does it for all
    std::unique_lock guard(mutex, std::try_to_lock);
    if (name && guard) {
        if (std::strcmp(name, "_socket") == 0) install_socket(module);
        else if (std::strcmp(name, "select") == 0) install_select(module);
        else if (std::strcmp(name, "_ssl") == 0) install_ssl(module);
        else if (std::strcmp(name, "_queue") == 0) install_queue(module);
        else if (std::strcmp(name, "posix") == 0) install_descriptors(module);
    }
    drop_exception();
}

PyObject* exec_module(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                      PyObject* names) {
    PyObject* result = original.call(self, values, count, names);
    if (result && count >= 1) install_module(values[0]);
    return result;
}
}  // namespace

void install_socket(PyObject* module) {
    if (!learn_socket_layout(module)) return;
    install_socket_transfers(module);
    install_socket_connecting(module);
    install_names(module);
    install_socket_closing(module);
}

PyObject* raise_end(const FdEnd& end, const char* timed_out) {
    switch (end.status) {
        case FdStatus::timed_out: PyErr_SetString(PyExc_TimeoutError, timed_out); return nullptr;
        case FdStatus::exit_requested: return raise_exit();
        case FdStatus::closed:
            return raise_error("DescriptorClosed",
                               "the file descriptor was closed, or got another file, while the actor waited for it");
        case FdStatus::failed: errno = end.error; break;
        case FdStatus::ready: SMARM_ASSERT(false, "raise_end(ready)");
    }
    return PyErr_SetFromErrno(PyExc_OSError);
}

}  // namespace stdlib

bool install_stdlib_sockets() {
    static bool installed = false;  // guarded by the main interpreter's GIL
    if (installed) return true;
    PyObject* module = import_module("_imp");
    installed = module && stdlib::Patch<stdlib::exec_module, 0>::install(module, nullptr, "exec_dynamic") &&
                stdlib::Patch<stdlib::exec_module, 1>::install(module, nullptr, "exec_builtin");
    Py_XDECREF(module);
    for (const char* name : {"_socket", "select", "_ssl", "_queue", "posix"}) {
        PyObject* key = PyUnicode_FromString(name);
        PyObject* present = key ? PyImport_GetModule(key) : nullptr;
        if (present) stdlib::install_module(present);
        Py_XDECREF(present);
        Py_XDECREF(key);
    }
    return installed;
}

}  // namespace smarm
