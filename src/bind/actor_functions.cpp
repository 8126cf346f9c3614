#include "bind/actor_functions.h"

#include "bind/arguments.h"
#include "bind/message_values.h"
#include "bind/raising.h"
#include "bind/signal_functions.h"
#include "interp/method_table.h"
#include "smarm/interp/errors.h"
#include "smarm/interp/pid_type.h"
#include "smarm/interp/py_actor.h"
#include "smarm/interp/py_rider.h"
#include "smarm/interp/requested_exception.h"
#include "smarm/sched/delivery.h"
#include "smarm/sched/scheduler.h"

namespace smarm::bind {
namespace {

PyObject* self_pid(PyObject*, PyObject*) {
    Worker* worker = require_actor("self");
    return worker ? make_pid(worker->current()->pid) : nullptr;
}

PyObject* yield_now(PyObject*, PyObject*) {
    Worker* worker = require_actor("yield_now");
    if (!worker) return nullptr;
    if (worker->yield()) return raise_exit();
    Py_RETURN_NONE;
}

// An explicit safe point: lets others run when this actor's slice is used up.
PyObject* check_slice(PyObject*, PyObject*) {
    Worker* worker = require_actor("check");
    if (!worker) return nullptr;
    if (worker->at_safe_point(true, Deliver::everything)) return raise_exit();
    Py_RETURN_NONE;
}

PyObject* arm_exception_again(PyObject*, PyObject* exception) { return PyBool_FromLong(arm_again(exception)); }

// For tests: whether this worker may switch without giving the GIL up, see smarm/cpython/py_swap.h.
PyObject* keeps_gil(PyObject*, PyObject*) {
    Worker* worker = require_actor("_keeps_gil");
    return worker ? PyBool_FromLong(static_cast<PyRider*>(worker->rider())->keeps_gil()) : nullptr;
}

PyObject* sleep_for(PyObject*, PyObject* seconds) {
    Worker* worker = enter_wait("sleep");
    if (!worker) return nullptr;
    Instant deadline = kNever;
    if (seconds == Py_None) {
        PyErr_SetString(PyExc_TypeError, "sleep() takes a number of seconds, not None");
        return nullptr;
    }
    if (!read_timeout(seconds, *worker, deadline)) return nullptr;
    for (;;) {
        const Parked parked = worker->park(WaitReason::sleep, deadline);
        if (parked.requested) return raise_exit();
        if (parked.timed_out) Py_RETURN_NONE;
    }
}

// Delivers to an actor whose home is the calling worker.
PyObject* deliver_here(Worker& worker, Actor& actor, Message&& message) {
    const Delivery delivery = deliver_sent(worker, actor, std::move(message));
    if (__builtin_expect(delivery == Delivery::done, 1)) Py_RETURN_NONE;
    if (delivery == Delivery::full) raise_mailbox_full(worker.scheduler(), actor.pid, message.bytes());
    else PyErr_NoMemory();
    message.give_back();
    return nullptr;
}

// The same for a value that has to be encoded.
PyObject* encode_and_deliver_here(Worker& worker, Pid pid, PyObject* value) {
    Message message;
    if (!encode_message(value, true, message)) return nullptr;
    // Looked up after encoding, which can run code: the actor may have ended meanwhile.
    if (Actor* actor = worker.scheduler().table().own(pid)) return deliver_here(worker, *actor, std::move(message));
    worker.scheduler().count_dead_letters(pid, DeadLetter::nobody);
    Py_RETURN_NONE;
}

PyObject* send_message(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    Worker* worker = require_actor("send");
    if (!worker) return nullptr;
    if (count != 2) {
        PyErr_Format(PyExc_TypeError, "send() takes a pid and a message, %zd argument%s given", count,
                     count == 1 ? " was" : "s were");
        return nullptr;
    }
    InterpreterState& state = *interpreter_state();
    Scheduler& scheduler = worker->scheduler();
    Pid pid;
    if (!read_address(state, scheduler, arguments[0], pid)) return nullptr;
    WorkerCounters::add(worker->own_counters().messages);
    // A simulation has every message under way.
    if (!worker->simulation() || pid == worker->current()->pid) {
        if (Actor* actor = scheduler.table().own(pid, static_cast<int>(worker->index()))) {
            if (!Codec::is_plain(arguments[1])) return encode_and_deliver_here(*worker, pid, arguments[1]);
            return deliver_here(*worker, *actor, Message::local(Py_NewRef(arguments[1])));
        }
    }
    OwnedParcel parcel = state.codec->encode(arguments[1], "message");
    if (!parcel) return nullptr;
    const Sent sent = scheduler.send(pid, parcel);
    if (sent == Sent::full) {
        raise_mailbox_full(scheduler, pid, parcel->bytes());
        parcel->give_back();
        return nullptr;
    }
    if (sent == Sent::nobody) scheduler.count_dead_letters(pid, DeadLetter::nobody);
    Py_RETURN_NONE;
}

PyObject* message_count(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    Worker* worker = require_actor("message_count");
    if (!worker) return nullptr;
    if (count > 1) return PyErr_Format(PyExc_TypeError, "message_count() takes a pid, %zd arguments were given", count);
    if (count == 0) return PyLong_FromSize_t(worker->current()->mailbox.size());
    Pid pid;
    if (!read_address(*interpreter_state(), worker->scheduler(), arguments[0], pid)) return nullptr;
    ActorSnapshot seen;
    if (!worker->scheduler().table().look(pid, seen)) Py_RETURN_NONE;
    return PyLong_FromSize_t(seen.messages);
}

}  // namespace

PyMethodDef actor_functions[] = {
    {"self", self_pid, METH_NOARGS, "self()\n--\n\nReturn the running actor's Pid."},
    {"yield_now", yield_now, METH_NOARGS,
     "yield_now()\n--\n\nLet every other actor of this worker that can run do so first."},
    {"check", check_slice, METH_NOARGS,
     "check()\n--\n\nLet others run now if this actor has used up its time slice: for C extensions' callbacks and code "
     "under "
     "no_preempt()."},
    {"_arm_again", arm_exception_again, METH_O, nullptr},
    {"_keeps_gil", keeps_gil, METH_NOARGS, nullptr},
    {"sleep", sleep_for, METH_O,
     "sleep(seconds, /)\n--\n\nPark the actor for that long; 0 lets due timers run.\n\nRaises ValueError for a "
     "negative number or NaN."},
    {"send", SMARM_POSITIONAL_METHOD(send_message),
     "send(pid, message, /)\n--\n\nPut a message into an actor's mailbox; never blocks.\n\nA mutable message is "
     "copied.  Messages from one "
     "actor to another arrive in the order of sending.  A message to an actor that has\nended is a dead letter: "
     "counted in "
     "statistics(), no error.  Raises NotSendable, TypeError, MailboxFull, NotRegistered for a name that nobody has."},
    {"message_count", SMARM_POSITIONAL_METHOD(message_count),
     "message_count(pid=self(), /)\n--\n\nReturn how many messages wait in an actor's mailbox, None when it has ended; "
     "costs the same for "
     "any number.\n\nRaises NotRegistered, TypeError."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace smarm::bind
