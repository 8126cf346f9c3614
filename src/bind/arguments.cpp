#include "bind/arguments.h"

#include <cmath>

#include "smarm/interp/errors.h"
#include "smarm/interp/point.h"
#include "smarm/interp/requested_exception.h"
#include "smarm/sched/scheduler.h"

namespace smarm::bind {

Worker* refuse_caller(Worker* worker, const char* function) {
    if (worker && worker->current())
        raise_error("EndOfLoad", "smarm.%s() is where the load of the script ends", function);
    else
        raise_error("NoRuntime",
                    "smarm.%s() needs a running actor: start one with smarm.run(main) or smarm-host app.py", function);
    return nullptr;
}

Worker* look_at_requests(Worker* worker, const char* function, Point point) {
    if (!worker || !worker->current() || worker->current()->requests.loads_script())
        return refuse_caller(worker, function);
    const Actor& actor = *worker->current();
    return (point == Point::lock ? pass_lock_point(actor) : pass_point(actor)) ? worker : nullptr;
}

bool read_seconds(PyObject* number, Duration& duration) {
    duration = Duration::max();
    const double seconds = PyFloat_AsDouble(number);
    if (seconds == -1.0 && PyErr_Occurred()) {
        if (!PyErr_ExceptionMatches(PyExc_TypeError)) {
            if (!PyErr_ExceptionMatches(PyExc_OverflowError)) return false;
            drop_exception();  // an int beyond any float: never, or, when negative, refused below
            PyObject* zero = PyLong_FromLong(0);
            const int negative = zero ? PyObject_RichCompareBool(number, zero, Py_LT) : -1;
            Py_XDECREF(zero);
            if (negative == 0) return true;
            if (negative > 0) PyErr_SetString(PyExc_ValueError, "a timeout must be 0 or more seconds");
            return false;
        }
        PyErr_Format(PyExc_TypeError, "a timeout is a number of seconds or None, not %.100s", Py_TYPE(number)->tp_name);
        return false;
    }
    if (std::isnan(seconds) || seconds < 0) {
        PyErr_Format(PyExc_ValueError, "a timeout must be 0 or more seconds, not %R", number);
        return false;
    }
    constexpr double kMostSeconds = 9e9;  // 285 years: beyond what the clock can count
    if (seconds < kMostSeconds) {
        duration = Duration(static_cast<std::int64_t>(seconds * 1e9));
        if (seconds > 0 && duration == Duration::zero()) duration = Duration(1);
    }
    return true;
}

bool read_timeout(PyObject* timeout, Worker& worker, Instant& deadline) {
    deadline = kNever;
    if (timeout == Py_None) return true;
    Duration duration;
    if (!read_seconds(timeout, duration)) return false;
    deadline = deadline_after(worker.driver().now(), duration);
    return true;
}

bool read_interrupt_after(PyObject* seconds, const Worker& worker, Duration& patience) {
    patience = seconds ? Duration::max() : worker.scheduler().options().interrupt_after;
    return !seconds || seconds == Py_None || read_seconds(seconds, patience);
}

bool read_interrupt_keyword(const char* function, PyObject* const* arguments, Py_ssize_t count, PyObject* names,
                            const Worker& worker, Duration& patience) {
    PyObject* seconds = nullptr;
    for (Py_ssize_t i = 0; i < (names ? PyTuple_GET_SIZE(names) : 0); ++i) {
        if (!PyUnicode_EqualToUTF8(PyTuple_GET_ITEM(names, i), "interrupt_after")) {
            PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument %R", function,
                         PyTuple_GET_ITEM(names, i));
            return false;
        }
        seconds = arguments[count + i];
    }
    return read_interrupt_after(seconds, worker, patience);
}

bool read_timeout_keyword(const char* function, PyObject* const* arguments, Py_ssize_t count, PyObject* names,
                          Py_ssize_t required, PyObject** timeout) {
    const Py_ssize_t by_name = names ? PyTuple_GET_SIZE(names) : 0;
    if (count < required || count + by_name > required + 1) {
        PyErr_Format(PyExc_TypeError, "%s() takes %zd argument%s and a timeout, %zd were given", function, required,
                     required == 1 ? "" : "s", count + by_name);
        return false;
    }
    if (count == required + 1) *timeout = arguments[required];
    if (by_name == 1) {
        if (PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(names, 0), "timeout") != 0) {
            PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument %R", function,
                         PyTuple_GET_ITEM(names, 0));
            return false;
        }
        *timeout = arguments[count];
    }
    return true;
}

Worker* require_wait(const char* function, PyObject* const* arguments, Py_ssize_t count, PyObject* names,
                     Py_ssize_t required, Instant& deadline, Point point) {
    Worker* worker = enter_wait(function, point);
    PyObject* timeout = Py_None;
    if (!worker || !read_timeout_keyword(function, arguments, count, names, required, &timeout)) return nullptr;
    if (timeout != Py_None) return read_timeout(timeout, *worker, deadline) ? worker : nullptr;
    PyErr_Format(PyExc_TypeError, "%s() needs a timeout in seconds (math.inf to wait for ever)", function);
    return nullptr;
}

bool read_text(PyObject* name, const char* what, std::string& text) {
    if (!PyUnicode_Check(name)) {
        PyErr_Format(PyExc_TypeError, "%s is a str, not %.100s", what, Py_TYPE(name)->tp_name);
        return false;
    }
    Py_ssize_t size = 0;
    const char* utf8 = PyUnicode_AsUTF8AndSize(name, &size);
    if (utf8) {
        text.assign(utf8, static_cast<std::size_t>(size));
    } else if (PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)) {
        drop_exception();
        PyErr_Format(PyExc_ValueError, "%s must be text that UTF-8 can hold, not %R (it has half a character)", what,
                     name);
    }
    return utf8 != nullptr;
}

}  // namespace smarm::bind
