// arguments.h: reading what a function was called with: who calls, timeouts, how many arguments.
#pragma once

#include <Python.h>

#include <string>

#include "smarm/base/clock.h"
#include "smarm/sched/worker.h"

namespace smarm::bind {

// The rare half of the function below.
Worker* refuse_caller(Worker* worker, const char* function);

// Returns the worker whose actor calls, or nullptr with NoRuntime set ("smarm.sleep() needs a running actor ...").
// While the calling actor loads the script into a worker, ends that load instead.
[[gnu::always_inline]] inline Worker* require_actor(const char* function) {
    Worker* worker = this_worker();
    if (__builtin_expect(worker && worker->current() && !worker->current()->requests.loads_script(), 1)) return worker;
    return refuse_caller(worker, function);
}

// What begins with the call: something that can be cut short there; or the taking of a lock, which cannot be
// everywhere.
enum class Point : std::uint8_t { wait, lock };

// The rare half of the next one.
Worker* look_at_requests(Worker* worker, const char* function, Point point);

// As require_actor, for a call that may wait: it begins with a cancellation point. nullptr: an exception is set.
[[gnu::always_inline]] inline Worker* enter_wait(const char* function, Point point = Point::wait) {
    Worker* worker = this_worker();
    if (__builtin_expect(worker && worker->current() && !worker->current()->requests.any(), 1)) return worker;
    return look_at_requests(worker, function, point);
}

// Reads a length of time in seconds; Duration::max() for more than the clock can count. False as read_timeout.
bool read_seconds(PyObject* number, Duration& duration);

// Reads a timeout in seconds: None means never. False with TypeError or ValueError (negative, NaN) set.
bool read_timeout(PyObject* timeout, Worker& worker, Instant& deadline);

// Reads interrupt_after=: seconds, None (Duration::max(): only at points), or nullptr: what the run says. False as
// read_timeout.
bool read_interrupt_after(PyObject* seconds, const Worker& worker, Duration& patience);

// The same for a fast call with no other keyword, whose `count` positional arguments come first.
bool read_interrupt_keyword(const char* function, PyObject* const* arguments, Py_ssize_t count, PyObject* names,
                            const Worker& worker, Duration& patience);

// Reads the fast call of (required..., timeout=None), whose timeout may be given by name or as the last argument.
// False with TypeError set. *timeout stays as it was when it is not given.
bool read_timeout_keyword(const char* function, PyObject* const* arguments, Py_ssize_t count, PyObject* names,
                          Py_ssize_t required, PyObject** timeout);

// Begins a call (..., timeout) of an actor that may wait: `required` arguments, then a timeout that is neither absent
// nor None. Returns the worker, or nullptr with NoRuntime, TypeError, ValueError or what was requested set.
Worker* require_wait(const char* function, PyObject* const* arguments, Py_ssize_t count, PyObject* names,
                     Py_ssize_t required, Instant& deadline, Point point = Point::wait);

// Reads a name for `what` ("a registered name"). False with TypeError or ValueError set.
bool read_text(PyObject* name, const char* what, std::string& text);

}  // namespace smarm::bind
