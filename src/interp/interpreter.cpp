#include "smarm/interp/interpreter.h"

#include <chrono>
#include <new>
#include <thread>

#include <marshal.h>

#include "cpython/py_compat.h"
#include "smarm/interp/imports.h"
#include "smarm/interp/interpreter_state.h"

namespace smarm {
namespace {

// Calls smarm._worker.<name>(argument); steals `argument`.
PyObject* call_worker_helper(const char* name, PyObject* argument) {
    return call_imported("smarm._worker", name, argument ? Py_BuildValue("(N)", argument) : nullptr);
}

// Calls smarm._worker.<name>(None) and reports what it raises. Returns whether it returned True.
bool ask_worker_helper(const char* name) {
    PyObject* answer = call_worker_helper(name, Py_NewRef(Py_None));
    if (!answer) PyErr_WriteUnraisable(nullptr);
    Py_XDECREF(answer);
    return answer == Py_True;  // which is immortal
}

// Gives threads that are in the attached interpreter some time to leave it.
bool becomes_alone(PyThreadState* own) noexcept {
    constexpr int kPatience = 100;  // ms
    for (int i = 0; i < kPatience && !is_only_thread(own); ++i) {
        PyEval_SaveThread();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        PyEval_RestoreThread(own);
    }
    return is_only_thread(own);
}

}  // namespace

PyThreadState* create_interpreter(const char*& error) {
    PyInterpreterConfig config = {};
    config.use_main_obmalloc = 0;
    config.allow_fork = 0;
    config.allow_exec = 0;
    config.allow_threads = 1;
    config.allow_daemon_threads = 0;
    config.check_multi_interp_extensions = 1;
    config.gil = PyInterpreterConfig_OWN_GIL;
    PyThreadState* own = nullptr;
    const PyStatus status = Py_NewInterpreterFromConfig(&own, &config);
    if (PyStatus_Exception(status)) {
        error = status.err_msg ? status.err_msg : "CPython gave no reason";
        return nullptr;
    }
    return own;
}

bool snapshot_main(MainSnapshot& snapshot) {
    PyObject* taken = call_worker_helper("snapshot", Py_NewRef(Py_None));
    PyObject* bytes = taken ? PyMarshal_WriteObjectToString(taken, Py_MARSHAL_VERSION) : nullptr;
    Py_XDECREF(taken);
    if (!bytes) return false;
    bool copied = true;
    try {
        snapshot.encoded.assign(PyBytes_AS_STRING(bytes), static_cast<std::size_t>(PyBytes_GET_SIZE(bytes)));
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
        copied = false;
    }
    Py_DECREF(bytes);
    return copied;
}

bool prepare_interpreter(const MainSnapshot& snapshot, unsigned worker_index) {
    PyObject* values =
        PyMarshal_ReadObjectFromString(snapshot.encoded.data(), static_cast<Py_ssize_t>(snapshot.encoded.size()));
    if (!values) return false;
    // The path first, with the C API: smarm itself may be found only through it.
    PyObject* path = PyDict_GetItemString(values, "path");
    PyObject* index = PyLong_FromUnsignedLong(worker_index);
    const bool ready =
        path && index && PySys_SetObject("path", path) == 0 && PyDict_SetItemString(values, "index", index) == 0;
    Py_XDECREF(index);
    PyObject* done = nullptr;
    if (ready) done = call_worker_helper("prepare", Py_NewRef(values));
    Py_DECREF(values);
    Py_XDECREF(done);
    if (done) interpreter_state()->of_worker = true;
    return done != nullptr;
}

bool is_only_thread(PyThreadState* own) noexcept {
    return PyInterpreterState_ThreadHead(PyThreadState_GetInterpreter(own)) == own && !PyThreadState_Next(own);
}

bool rest_interpreter() { return ask_worker_helper("rest"); }

void end_interpreter(PyThreadState* own) {
    ask_worker_helper("finish");
    PyInterpreterState* interpreter = PyThreadState_GetInterpreter(own);
    // Threads of native code come and go until the interpreter's exit functions have run (extensions/owner.h), and
    // Py_EndInterpreter ends the process where one is left: of native code, or of _thread, for which nobody waits.
    ask_worker_helper("end_threads");
    if (becomes_alone(own)) return Py_EndInterpreter(own);
    PyEval_SaveThread();
    smarm_forget_interpreter(interpreter);
}

void watch_end_of_main() { ask_worker_helper("watch_end"); }

}  // namespace smarm
