#include "bind/timer_functions.h"

#include <algorithm>

#include "bind/arguments.h"
#include "bind/message_values.h"
#include "bind/native_object.h"
#include "bind/signal_functions.h"
#include "smarm/interp/pid_type.h"
#include "smarm/sched/scheduler.h"
#include "smarm/wait/timer.h"

namespace smarm::bind {

template <>
struct TypeOf<MessageTimer> {
    static constexpr auto index = NativeTypeIndex::timer;
    static constexpr NativeId codec_id = NativeId::timer;
};

namespace {

PyObject* timer_cancel(PyObject* self, PyObject*) {
    if (!require_actor("Timer.cancel")) return nullptr;
    const auto left = native_of<MessageTimer>(self).cancel();
    if (!left) Py_RETURN_NONE;
    return PyFloat_FromDouble(std::chrono::duration<double>(*left).count());
}

PyObject* timer_armed(PyObject* self, void*) { return PyBool_FromLong(native_of<MessageTimer>(self).armed()); }

PyObject* timer_repr(PyObject* self) {
    const MessageTimer& timer = native_of<MessageTimer>(self);
    return PyUnicode_FromFormat("<smarm.Timer, %s%s>", timer.period() > Duration::zero() ? "interval, " : "",
                                timer.armed() ? "armed" : "over");
}

PyMethodDef timer_methods[] = {
    {"cancel", timer_cancel, METH_NOARGS,
     "cancel($self, /)\n--\n\nEnd the timer and return the seconds that were left until its (next) message, or None "
     "when it was over.\n\nFrom any "
     "actor.  When it returns a number, no message comes any more but those that are in the mailbox already."},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef timer_attributes[] = {
    {"armed", timer_armed, nullptr, "Whether a message is still to come; true for this moment only.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyType_Slot timer_slots[] = {
    {Py_tp_doc,
     const_cast<char*>("What send_after and interval return.  Sendable.  Dropping it does not end the timer.")},
    SMARM_NATIVE_SLOTS(MessageTimer),
    {Py_tp_repr, reinterpret_cast<void*>(timer_repr)},
    {Py_tp_methods, timer_methods},
    {Py_tp_getset, timer_attributes},
    {0, nullptr},
};

PyType_Spec timer_spec = {"smarm.Timer", sizeof(NativeObject<MessageTimer>), 0,
                          Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
                          timer_slots};

// (seconds, pid or name, message) of both functions.
struct Request {
    Worker* worker = nullptr;
    Duration delay{};
    Pid target;
};

bool read_request(const char* function, PyObject* const* arguments, Py_ssize_t count, Request& request) {
    if (!(request.worker = require_actor(function))) return false;
    if (count != 3) {
        PyErr_Format(PyExc_TypeError, "%s() takes seconds, a pid and a message, %zd argument%s given", function, count,
                     count == 1 ? " was" : "s were");
        return false;
    }
    if (arguments[0] == Py_None) {
        PyErr_Format(PyExc_TypeError, "%s() takes a number of seconds, not None", function);
        return false;
    }
    if (!PyNumber_Check(arguments[0])) {
        PyErr_Format(PyExc_TypeError, "%s(seconds, pid, message) takes the seconds first, not %R", function,
                     arguments[0]);
        return false;
    }
    return read_seconds(arguments[0], request.delay) &&
           read_address(*interpreter_state(), request.worker->scheduler(), arguments[1], request.target);
}

PyObject* start_timer(const Request& request, Ref<MessageTimer> timer) {
    MessageTimer& started = *timer;
    PyObject* object = wrap_native(native_type(*interpreter_state(), NativeTypeIndex::timer), std::move(timer));
    if (object) started.arm(deadline_after(request.worker->driver().now(), request.delay));
    return object;
}

PyObject* send_after(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    Request request;
    if (!read_request("send_after", arguments, count, request)) return nullptr;
    const Worker& worker = *request.worker;
    const bool local = worker.scheduler().table().find_home(request.target) == static_cast<int>(worker.index());
    Message message;
    if (!make_message(arguments[2], local, message)) return nullptr;
    try {
        return start_timer(request, make_shared_ref<MessageTimer>(request.target, std::move(message)));
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    }
}

PyObject* start_interval(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    Request request;
    if (!read_request("interval", arguments, count, request)) return nullptr;
    if (request.delay <= Duration::zero())
        return PyErr_Format(PyExc_ValueError, "an interval must be longer than 0 seconds, not %R", arguments[0]);
    OwnedParcel parcel = interpreter_state()->codec->encode(arguments[2], "message");
    if (!parcel) return nullptr;
    if (!parcel->attachments().empty()) {
        parcel->give_back();
        return raise_error(
            "NotSendable",
            "the message of an interval is sent again and again: it cannot hold channels, buffers, locks or "
            "timers");
    }
    try {
        return start_timer(request, make_shared_ref<MessageTimer>(request.target, std::move(parcel), request.delay));
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    }
}

PyMethodDef timer_functions[] = {
    {"send_after", SMARM_POSITIONAL_METHOD(send_after),
     "send_after(seconds, pid, message, /)\n--\n\nSend the message when that time has passed, and return the Timer at "
     "once.\n\nThe message is taken "
     "as it is now.  Like send, but later: to an actor that has ended by then it is a dead letter.  The\ntimer goes on "
     "when the caller ends.  Raises "
     "ValueError for a negative number or NaN, TypeError, NotSendable, NotRegistered."},
    {"interval", SMARM_POSITIONAL_METHOD(start_interval),
     "interval(seconds, pid, message, /)\n--\n\nSend the message every that many seconds until cancelled or its target "
     "has ended; return the "
     "Timer.\n\nThe n-th is due n * seconds from now: lateness does not add up.  Several that became late together are "
     "sent as one.\nRaises "
     "ValueError unless seconds is above 0, else as send_after; NotSendable also for a message with channels or "
     "locks."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool add_timer_functions(PyObject* module, InterpreterState& state) {
    return add_sendable_type<MessageTimer>(module, state, timer_spec) &&
           PyModule_AddFunctions(module, timer_functions) == 0;
}

}  // namespace smarm::bind
