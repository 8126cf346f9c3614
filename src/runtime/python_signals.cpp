#include "runtime/python_signals.h"

#include "smarm/interp/imports.h"
#include "smarm/interp/requested_exception.h"
#include <csignal>

namespace smarm {
namespace {

// The module signal itself makes enums of these, for milliseconds.
PyObject* import_signal() { return import_module("_signal"); }

PyObject* default_handler(PyObject* module, int number) {
    return PyObject_GetAttrString(module, number == SIGINT ? "default_int_handler" : "SIG_DFL");
}

bool is_handler(PyObject* module, int number, PyObject* handler) {
    PyObject* current = handler ? PyObject_CallMethod(module, "getsignal", "i", number) : nullptr;
    const bool same = current && PyObject_RichCompareBool(current, handler, Py_EQ) == 1;
    Py_XDECREF(current);
    return same;
}

bool set_handler(PyObject* module, int number, PyObject* handler) {
    PyObject* previous = handler ? PyObject_CallMethod(module, "signal", "iO", number, handler) : nullptr;
    Py_XDECREF(previous);
    return previous != nullptr;
}

}  // namespace

PyObject* current_handler(int number) {
    PyObject* module = import_signal();
    PyObject* handler = module ? PyObject_CallMethod(module, "getsignal", "i", number) : nullptr;
    drop_exception();
    Py_XDECREF(module);
    return handler;
}

bool has_default_handler(int number) {
    PyObject* module = import_signal();
    PyObject* standard = module ? default_handler(module, number) : nullptr;
    const bool same = standard && is_handler(module, number, standard);
    Py_XDECREF(standard);
    // A shell starts background programs with SIGQUIT ignored; a dump is wanted of those all the more.
    PyObject* ignored = number == SIGQUIT && module ? PyObject_GetAttrString(module, "SIG_IGN") : nullptr;
    const bool is_ignored = ignored && is_handler(module, number, ignored);
    drop_exception();
    Py_XDECREF(ignored);
    Py_XDECREF(module);
    return same || is_ignored;
}

bool replace_default_handler(int number, PyObject* handler) {
    PyObject* module = import_signal();
    const bool done = module && set_handler(module, number, handler);
    drop_exception();
    Py_XDECREF(module);
    return done;
}

void put_back_default_handler(int number, PyObject* handler) {
    PyObject* module = import_signal();
    if (module && is_handler(module, number, handler)) {
        PyObject* standard = default_handler(module, number);
        set_handler(module, number, standard);
        Py_XDECREF(standard);
    }
    drop_exception();
    Py_XDECREF(module);
}

int replace_wake_up_descriptor(int descriptor) {
    PyObject* module = import_signal();
    PyObject* function = module ? PyObject_GetAttrString(module, "set_wakeup_fd") : nullptr;
    PyObject* arguments = Py_BuildValue("(i)", descriptor);
    PyObject* quietly = Py_BuildValue("{sO}", "warn_on_full_buffer", Py_False);
    PyObject* previous = function && arguments && quietly ? PyObject_Call(function, arguments, quietly) : nullptr;
    const long number = previous ? PyLong_AsLong(previous) : -1;
    drop_exception();
    Py_XDECREF(previous);
    Py_XDECREF(quietly);
    Py_XDECREF(arguments);
    Py_XDECREF(function);
    Py_XDECREF(module);
    return static_cast<int>(number);
}

void put_back_wake_up_descriptor(int descriptor, int previous) {
    const int current = replace_wake_up_descriptor(previous);
    if (current != descriptor) replace_wake_up_descriptor(current);
}

}  // namespace smarm
