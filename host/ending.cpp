#include "ending.h"

#include <Python.h>

#include <csignal>
#include <cstdio>
#include <unistd.h>

#include "handle.h"
#include "smarm/interp/imports.h"
#include "smarm/runtime/runtime.h"

namespace smarm::host {
namespace {

constexpr int kCouldNotFlush = 120;

// The exit code of a SystemExit with this `code`; prints what is not a number.
int read_exit_code(PyObject* code) {
    if (code == Py_None) return 0;
    if (PyLong_Check(code)) {
        const long number = PyLong_AsLong(code);
        PyErr_Clear();  // beyond a long: -1
        return static_cast<int>(number);
    }
    PyObject* stream = PySys_GetObject("stderr");  // borrowed
    PyErr_Clear();
    if (stream && stream != Py_None) PyFile_WriteObject(code, stream, Py_PRINT_RAW);
    else PyObject_Print(code, stderr, Py_PRINT_RAW);
    PyErr_Clear();
    PySys_WriteStderr("\n");
    return 1;
}

Outcome report_system_exit() {
    Handle exception(PyErr_GetRaisedException());
    Handle code(PyObject_GetAttrString(exception.get(), "code"));
    std::fflush(stdout);
    if (!code) return report_exception();
    return {read_exit_code(code.get())};
}

[[noreturn]] void end_by_interrupt() {
    std::signal(SIGINT, SIG_DFL);
    kill(getpid(), SIGINT);
    _exit(128 + SIGINT);  // blocked by whoever started us
}

[[noreturn]] void end_without_finalising(Outcome outcome) {
    Handle done(call_imported("smarm._host", "finish", PyTuple_New(0)));
    if (!done) PyErr_Print();
    if (outcome.interrupted) end_by_interrupt();
    _exit(outcome.exit_code);
}

}  // namespace

Outcome report_exception() {
    if (PyErr_ExceptionMatches(PyExc_SystemExit)) return report_system_exit();
    const bool interrupted = PyErr_Occurred() == PyExc_KeyboardInterrupt;
    PyErr_Print();
    return {1, interrupted};
}

int end_python(Outcome outcome) {
    if (Runtime::left_behind()) end_without_finalising(outcome);
    if (Py_FinalizeEx() < 0) outcome.exit_code = kCouldNotFlush;
    if (outcome.interrupted) end_by_interrupt();
    return outcome.exit_code;
}

}  // namespace smarm::host
