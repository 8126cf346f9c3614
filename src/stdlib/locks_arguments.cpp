// Reading acquire(blocking=True, timeout=-1) as CPython does. What is not plainly right is put before the original, on
// a lock of its own that nobody holds: it cannot wait there, and its errors are CPython's to the letter.
#include <cmath>
#include <cstring>
#include <limits>

#include "smarm/interp/imports.h"
#include "stdlib/locks_methods.h"

namespace smarm::stdlib_locks {
namespace {

struct Arguments {
    PyObject* blocking = nullptr;
    PyObject* timeout = nullptr;
};

// Returns the place for the keyword, or nullptr.
PyObject** place_of(Arguments& arguments, PyObject* name) {
    if (PyUnicode_EqualToUTF8(name, "blocking")) return &arguments.blocking;
    if (PyUnicode_EqualToUTF8(name, "timeout")) return &arguments.timeout;
    return nullptr;
}

// Sorts the arguments to their names. Returns false when they do not fit.
bool sort_arguments(const Call& call, Arguments& arguments) {
    if (call.count > 2) return false;
    if (call.count > 0) arguments.blocking = call.values[0];
    if (call.count > 1) arguments.timeout = call.values[1];
    const auto set = [&arguments](PyObject* name, PyObject* value) {
        PyObject** place = place_of(arguments, name);
        if (!place || *place) return false;
        *place = value;
        return true;
    };
    for (Py_ssize_t i = 0; i < (call.names ? PyTuple_GET_SIZE(call.names) : 0); ++i) {
        PyObject* name = PyTuple_GET_ITEM(call.names, i);
        if (!PyUnicode_Check(name) || !set(name, call.values[call.count + i])) return false;
    }
    return true;
}

constexpr double kLongestPlain = 1e6;  // seconds; longer ones may be out of range, which is for the original to say

// Reads bools and small exact numbers, which need no conversion. Returns false for everything else.
bool read_plain(const Arguments& arguments, Patience& patience) {
    if (arguments.blocking) {
        if (!PyBool_Check(arguments.blocking)) return false;
        patience.waits = arguments.blocking == Py_True;
    }
    if (!arguments.timeout) return true;
    double seconds = 0;
    if (PyFloat_CheckExact(arguments.timeout)) {
        seconds = PyFloat_AS_DOUBLE(arguments.timeout);
    } else if (PyLong_CheckExact(arguments.timeout)) {
        int overflow = 0;
        seconds = static_cast<double>(PyLong_AsLongAndOverflow(arguments.timeout, &overflow));
        if (overflow) return false;
    } else {
        return false;
    }
    if (seconds == -1.0) return true;
    if (!patience.waits || !(seconds >= 0 && seconds <= kLongestPlain)) return false;
    patience.forever = false;
    patience.timeout = Duration(static_cast<Duration::rep>(std::ceil(seconds * 1e9)));
    return true;
}

// Lets the original judge the arguments. Returns false with its exception set.
bool let_original_judge(const Call& call, const stdlib::Original& release) {
    PyObject* module = import_module("_thread");
    const bool recursive = release.definition == originals.rlock_release.definition;
    PyObject* lock = module ? PyObject_CallMethod(module, recursive ? "RLock" : "lock", nullptr) : nullptr;
    Py_XDECREF(module);
    if (!lock) return false;
    PyObject* taken = call.before.call(lock, call.values, call.count, call.names);
    if (taken) Py_XDECREF(release.call(lock, nullptr, 0));
    Py_DECREF(lock);
    Py_XDECREF(taken);
    return taken != nullptr;
}

// Reads arguments that the original has accepted.
bool read_accepted(const Arguments& arguments, Patience& patience) {
    if (arguments.blocking) {
        const int blocking = PyObject_IsTrue(arguments.blocking);
        if (blocking < 0) return false;
        patience.waits = blocking == 1;
    }
    if (!arguments.timeout) return true;
    double seconds = 0;
    if (PyFloat_Check(arguments.timeout) || !PyIndex_Check(arguments.timeout)) {
        seconds = PyFloat_AsDouble(arguments.timeout);
    } else {
        seconds = static_cast<double>(PyLong_AsLongLong(arguments.timeout));
    }
    if (seconds == -1.0) return !PyErr_Occurred();
    if (seconds < 0) return true;  // accepted, so it was rounded to -1: as no timeout
    patience.forever = seconds >= static_cast<double>(std::numeric_limits<Duration::rep>::max()) / 1e9;
    if (!patience.forever) patience.timeout = Duration(static_cast<Duration::rep>(std::ceil(seconds * 1e9)));
    return true;
}

}  // namespace

bool read_patience(const Call& call, const stdlib::Original& release, Patience& patience) {
    Arguments arguments;
    const bool sorted = sort_arguments(call, arguments);
    if (!sorted || !read_plain(arguments, patience)) {
        if (!let_original_judge(call, release)) return false;
        patience = {};
        // Accepted though we could not sort it: an acquire() that takes more than we know. Wait as long as it takes.
        if (sorted && !read_accepted(arguments, patience)) return false;
    }
    patience.is_point = patience.waits;
    if (!patience.forever && patience.timeout <= Duration::zero()) patience.waits = false;
    return true;
}

}  // namespace smarm::stdlib_locks
