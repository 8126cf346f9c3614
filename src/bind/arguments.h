// arguments.h: what every function of the module checks the same way.
#pragma once

#include <Python.h>

#include "smarm/base/clock.h"
#include "smarm/codec/codec.h"
#include "smarm/interp/interpreter_state.h"
#include "smarm/sched/worker.h"
#include "smarm/wait/channel.h"

namespace smarm::bind {

// The rare halves of the functions below, which call them.
Worker* refuse_caller(Worker* worker, const char* function);
PyObject* decode_message(Message&& message);
bool encode_message(PyObject* value, bool local, Message& message);

// Returns the worker whose actor calls, or nullptr with NoRuntime set ("smarm.sleep() needs a running actor ...").
// While the calling actor loads the script into a worker, ends that load instead.
inline Worker* require_actor(const char* function) {
    Worker* worker = this_worker();
    if (__builtin_expect(worker && worker->current() && !worker->current()->requests.loads_script(), 1)) return worker;
    return refuse_caller(worker, function);
}

// What begins with the call: something that can be cut short there; or the taking of a lock, which cannot be everywhere.
enum class Point : std::uint8_t { wait, lock };

// The rare half of the next one.
Worker* look_at_requests(Worker* worker, const char* function, Point point);

// As require_actor, for a call that may wait: it begins with a cancellation point. nullptr: an exception is set.
inline Worker* enter_wait(const char* function, Point point = Point::wait) {
    Worker* worker = this_worker();
    if (__builtin_expect(worker && worker->current() && !worker->current()->requests.any(), 1)) return worker;
    return look_at_requests(worker, function, point);
}

// Reads a length of time in seconds; Duration::max() for more than the clock can count. False as read_timeout.
bool read_seconds(PyObject* number, Duration& duration);

// Reads a timeout in seconds: None means never. False with TypeError or ValueError (negative, NaN) set.
bool read_timeout(PyObject* timeout, Worker& worker, Instant& deadline);

// Reads interrupt_after=: seconds, None (Duration::max(): only at points), or nullptr: what the run says. False as read_timeout.
bool read_interrupt_after(PyObject* seconds, const Worker& worker, Duration& patience);

// The same for a fast call with no other keyword, whose `count` positional arguments come first.
bool read_interrupt_keyword(const char* function, PyObject* const* arguments, Py_ssize_t count, PyObject* names,
                            const Worker& worker, Duration& patience);

// Takes the value out of a received message: a new reference, or nullptr with an exception set.
inline PyObject* open_message(Message&& message) {
    return message.is_parcel() ? decode_message(std::move(message)) : static_cast<PyObject*>(message.take_local());
}

// Makes a message of the value for a receiver in this interpreter (`local`) or in any. False with an exception set.
inline bool make_message(PyObject* value, bool local, Message& message) {
    if (!local || !Codec::is_plain(value)) return encode_message(value, local, message);
    message = Message::local(Py_NewRef(value));
    return true;
}

// Raises what a Status other than ok means. `what` fits "timed out <what>" and "<what>". Returns nullptr.
PyObject* raise_status(Status status, const char* timed_out, const char* closed);

// Raises MailboxFull for a message of so many bytes. Returns nullptr.
PyObject* raise_mailbox_full(Scheduler& scheduler, Pid pid, std::size_t bytes);

// Reads (value, timeout=None) style fast calls: at most `positional` arguments without keyword, and `timeout` by name.
// False with TypeError set. *timeout stays as it was when it is not given.
bool read_timeout_keyword(const char* function, PyObject* const* arguments, Py_ssize_t count, PyObject* names,
                          Py_ssize_t required, PyObject** timeout);

// Begins a call (..., timeout) of an actor that may wait: `required` arguments, then a timeout that is neither absent nor None.
// Returns the worker, or nullptr with NoRuntime, TypeError, ValueError or what was requested set.
Worker* require_wait(const char* function, PyObject* const* arguments, Py_ssize_t count, PyObject* names,
                     Py_ssize_t required, Instant& deadline, Point point = Point::wait);

}  // namespace smarm::bind
