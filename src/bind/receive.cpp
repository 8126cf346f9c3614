#include "bind/receive.h"

#include <cstring>
#include <new>

#include "bind/arguments.h"
#include "bind/message_values.h"
#include "bind/raising.h"
#include "bind/signal_functions.h"
#include "interp/method_table.h"
#include "smarm/interp/errors.h"
#include "smarm/interp/imports.h"
#include "smarm/interp/pid_type.h"
#include "smarm/interp/py_actor.h"
#include "smarm/interp/py_rider.h"

namespace smarm::bind {
namespace {

// ---- receive --------------------------------------------------------------------------------------------------------

// The message at `position` as an object (new reference), decoded on first sight. nullptr: it cannot be decoded; it has
// been taken out, and the exception says why. A notice stays one in the mailbox: it is also looked for by its ref.
PyObject* look_at(Actor& self, std::size_t position) {
    Mailbox& mailbox = self.mailbox;
    Message& message = mailbox.at(position);
    if (!message.is_parcel()) return Py_NewRef(static_cast<PyObject*>(message.local_object()));
    if (const Notice* notice = find_notice(message)) {
        // SAFETY: nobody takes it out while it is decoded, see may_take_messages.
        PyObject* object = make_notice(*notice);
        if (!object) self.take_message(position);
        return object;
    }
    // Out of the mailbox while user code may run, in which other actors send here; an empty Message keeps its place.
    Message taken = std::move(message);
    PyObject* object = open_message(std::move(taken));
    if (!object) {
        self.take_message(position);
        return nullptr;
    }
    mailbox.at(position) = Message::local(Py_NewRef(object));
    return object;
}

// 1: matches, 0: does not, -1: an exception is set.
int matches(PyObject* object, PyObject* match) {
    // A union (int | str) is what cannot be called.
    if (PyType_Check(match) || PyTuple_CheckExact(match) || !PyCallable_Check(match))
        return PyObject_IsInstance(object, match);
    PyObject* answer = PyObject_CallOneArg(match, object);
    const int truth = answer ? PyObject_IsTrue(answer) : -1;
    Py_XDECREF(answer);
    return truth;
}

bool is_ref(PyObject* object) {
    // smarm.Ref is the only subclass of int that is looked for; the name is enough to tell it from a predicate or type.
    return PyLong_Check(object) && std::strcmp(Py_TYPE(object)->tp_name, "Ref") == 0;
}

// int | str: types.UnionType, from Python 3.14 on typing.Union.
bool is_union(PyObject* object) {
    const char* type = Py_TYPE(object)->tp_name;
    return std::strcmp(type, "types.UnionType") == 0 || std::strcmp(type, "typing.Union") == 0;
}

// As isinstance takes it: types, and tuples of such.
bool is_tuple_of_types(PyObject* match) {
    if (!PyTuple_CheckExact(match) || PyTuple_GET_SIZE(match) == 0) return false;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(match); ++i) {
        PyObject* item = PyTuple_GET_ITEM(match, i);
        if (!PyType_Check(item) && !is_tuple_of_types(item)) return false;
    }
    return true;
}

// Searches from *position on, leaving it where the search ended. 1: found at *position, 0: not (yet), -1: exception.
int find_match(Actor& self, PyObject* match, std::size_t* position) {
    struct Search {
        explicit Search(Actor& actor) : self(actor) { self.searches_mailbox = true; }
        ~Search() { self.searches_mailbox = false; }
        Actor& self;
    } const search(self);
    for (; *position < self.mailbox.size(); ++*position) {
        PyObject* object = look_at(self, *position);
        if (!object) return -1;
        const int found = matches(object, match);
        Py_DECREF(object);
        if (found != 0) return found;
    }
    return 0;
}

// As find_match, for the notice that carries `ref`: nothing is decoded.
bool find_ref(Mailbox& mailbox, MonitorRef ref, std::size_t* position) {
    for (; *position < mailbox.size(); ++*position) {
        const Notice* notice = find_notice(mailbox.at(*position));
        if (notice && notice->ref == ref) return true;
    }
    return false;
}

// Parks until there is a message. False with an exception set; `nothing` says what did not come before the timeout.
bool wait_for_message(Worker& worker, std::size_t seen, Instant deadline,
                      const char* nothing = "no such message came before the timeout") {
    Mailbox& mailbox = worker.current()->mailbox;
    while (mailbox.size() <= seen) {
        const Parked parked = worker.park(WaitReason::message, deadline);
        if (parked.woken() || mailbox.size() > seen) continue;
        if (parked.requested) raise_exit();
        else raise_status(Status::timed_out, nothing, "");
        return false;
    }
    return true;
}

// Waits for the Down or reply of a monitor; the message stays with the caller.
bool receive_ref(Worker& worker, MonitorRef ref, std::size_t from, Instant deadline, Message& message) {
    Actor& self = *worker.current();
    for (std::size_t position = from;;) {
        if (find_ref(self.mailbox, ref, &position)) {
            message = self.take_message(position);
            return true;
        }
        if (!wait_for_message(worker, position, deadline, "no answer came before the timeout")) return false;
    }
}

// receive(match=None, timeout=None)
bool read_receive(PyObject* const* arguments, Py_ssize_t count, PyObject* names, PyObject** match, PyObject** timeout) {
    if (count > 2) {
        PyErr_Format(PyExc_TypeError, "receive() takes a match and a timeout, %zd arguments were given", count);
        return false;
    }
    if (count > 0) *match = arguments[0];
    if (count > 1) *timeout = arguments[1];
    for (Py_ssize_t i = 0; i < (names ? PyTuple_GET_SIZE(names) : 0); ++i) {
        PyObject* name = PyTuple_GET_ITEM(names, i);
        if (PyUnicode_EqualToUTF8(name, "timeout") && count < 2) {
            *timeout = arguments[count + i];
        } else if (PyUnicode_EqualToUTF8(name, "match") && count < 1) {
            *match = arguments[count + i];
        } else {
            PyErr_Format(PyExc_TypeError, "receive() takes match= and timeout=, each once, not %U=", name);
            return false;
        }
    }
    return true;
}

PyObject* receive(PyObject*, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    Worker* worker = enter_wait("receive");
    if (!worker) return nullptr;
    PyObject* match = Py_None;
    PyObject* timeout = Py_None;
    Instant deadline = kNever;
    if (count != 0 || names) {
        if (!read_receive(arguments, count, names, &match, &timeout)) return nullptr;
        if (timeout != Py_None && !read_timeout(timeout, *worker, deadline)) return nullptr;
    }
    Actor& self = *worker->current();
    if (!may_take_messages(self)) return nullptr;
    if (match == Py_None) {
        if (!wait_for_message(*worker, 0, deadline)) return nullptr;
        return open_message(self.take_message(0));
    }
    if (!check_match(match)) return nullptr;
    for (std::size_t position = first_position(self, match);;) {
        const int found = find_message(self, match, position);
        if (found < 0) return nullptr;
        if (found) return open_message(self.take_message(position));
        if (!wait_for_message(*worker, position, deadline)) return nullptr;
    }
}

// ---- call and reply -------------------------------------------------------------------------------------------------

// Returns the message that a server gets: smarm.Call(ref, caller, request).
OwnedParcel encode_call(InterpreterState& state, Pid caller, MonitorRef ref, PyObject* request) {
    PyObject* call =
        call_imported("smarm._signals", "Call", Py_BuildValue("(NNO)", make_ref(ref), make_pid(caller), request));
    if (!call) return nullptr;
    OwnedParcel parcel = state.codec->encode(call, "message");
    Py_DECREF(call);
    return parcel;
}

PyObject* raise_process_down(PyObject* address, const Notice& notice) {
    PyObject* reason = reason_to_python(*notice.reason);
    PyObject* type = reason ? error_type("ProcessDown") : nullptr;
    PyObject* text = type ? PyUnicode_FromFormat("%S is not there to answer: %R", address, reason) : nullptr;
    PyObject* error = text ? PyObject_CallFunction(type, "OOO", text, address, reason) : nullptr;
    if (error) PyErr_SetObject(type, error);
    Py_XDECREF(error);
    Py_XDECREF(text);
    Py_XDECREF(type);
    Py_XDECREF(reason);
    return nullptr;
}

// From here on an answer is dropped. One that came while the exit did that ends the call is in the mailbox.
void forget_call(Actor& self, MonitorRef ref) {
    if (demonitor(self, ref)) return;
    std::size_t position = 0;
    if (find_ref(self.mailbox, ref, &position)) self.take_message(position);
}

PyObject* call(PyObject*, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    Worker* worker = enter_wait("call");
    if (!worker) return nullptr;
    PyObject* timeout = nullptr;
    if (!read_timeout_keyword("call", arguments, count, names, 2, &timeout)) return nullptr;
    Instant deadline = deadline_after(worker->driver().now(), std::chrono::seconds(5));
    if (timeout && !read_timeout(timeout, *worker, deadline)) return nullptr;
    InterpreterState& state = *interpreter_state();
    Actor& self = *worker->current();
    Pid pid;
    if (!read_address(state, worker->scheduler(), arguments[0], pid)) return nullptr;
    if (pid == self.pid) {
        PyErr_SetString(PyExc_RuntimeError, "an actor cannot call itself: it would wait for its own answer");
        return nullptr;
    }
    try {
        const MonitorRef ref = make_monitor_ref();
        OwnedParcel parcel = encode_call(state, self.pid, ref, arguments[1]);
        if (!parcel) return nullptr;
        self.mailbox.set_mark();
        self.marked_ref = ref;
        monitor(self, pid, ref);
        if (worker->scheduler().send(pid, parcel) == Sent::full) {
            forget_call(self, ref);
            raise_mailbox_full(worker->scheduler(), pid, parcel->bytes());
            parcel->give_back();
            return nullptr;
        }
        Message message;  // an answer, or from the monitor
        Awaits awaits(self, pid);
        if (!receive_ref(*worker, ref, self.mailbox.mark(), deadline, message)) {
            forget_call(self, ref);
            return nullptr;
        }
        const Notice& notice = *find_notice(message);
        if (notice.kind == Notice::Kind::down) return raise_process_down(arguments[0], notice);
        return state.codec->decode(*notice.payload);
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    }
}

PyObject* reply(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    Worker* worker = require_actor("reply");
    if (!worker) return nullptr;
    if (count != 2 || !PyTuple_Check(arguments[0]) || PyTuple_GET_SIZE(arguments[0]) != 3 ||
        !is_pid(*interpreter_state(), PyTuple_GET_ITEM(arguments[0], 1)) ||
        !PyLong_Check(PyTuple_GET_ITEM(arguments[0], 0))) {
        PyErr_SetString(PyExc_TypeError, "reply() takes the smarm.Call that is answered, and the answer");
        return nullptr;
    }
    const MonitorRef ref = PyLong_AsUnsignedLongLong(PyTuple_GET_ITEM(arguments[0], 0));
    if (ref == static_cast<MonitorRef>(-1) && PyErr_Occurred()) return nullptr;
    const Pid caller = pid_value(PyTuple_GET_ITEM(arguments[0], 1));
    OwnedParcel payload = interpreter_state()->codec->encode(arguments[1], "reply");
    if (!payload) return nullptr;
    try {
        return PyBool_FromLong(send_reply(worker->current()->pid, caller, ref, std::move(payload)));
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    }
}

}  // namespace

bool check_match(PyObject* match) {
    if (is_ref(match)) return PyLong_AsUnsignedLongLong(match) != static_cast<MonitorRef>(-1) || !PyErr_Occurred();
    if (match == Py_None || is_tuple_of_types(match)) return true;
    if (is_union(match)) return PyObject_IsInstance(Py_None, match) >= 0;  // TypeError: list[int] | str
    const bool is_alias = Py_IS_TYPE(match, &Py_GenericAliasType);         // list[int]: calling it makes a list
    if (PyCallable_Check(match) && !is_alias) return true;
    if (PyNumber_Check(match) && !PyTuple_Check(match))
        PyErr_Format(
            PyExc_TypeError,
            "messages are matched by a type, a tuple of types, a predicate or a Ref, not by %R: a timeout is given as "
            "timeout=%R",
            match, match);
    else
        PyErr_Format(PyExc_TypeError,
                     "messages are matched by a type, a tuple of types, a predicate or a Ref, not by %R%s", match,
                     PyTuple_Check(match) ? ", which has something else in it or nothing: look at messages with a "
                                            "predicate, or with `match smarm.receive():`"
                                          : "");
    return false;
}

bool may_take_messages(const Actor& self) {
    if (!self.searches_mailbox) return true;
    PyErr_SetString(
        PyExc_RuntimeError,
        "the mailbox is being searched: a predicate, or what decodes a message, must not take messages out of it");
    return false;
}

std::size_t first_position(const Actor& self, PyObject* match) {
    return is_ref(match) && PyLong_AsUnsignedLongLong(match) == self.marked_ref ? self.mailbox.mark() : 0;
}

int find_message(Actor& self, PyObject* match, std::size_t& position) {
    if (match == Py_None) return position < self.mailbox.size();
    if (is_ref(match)) return find_ref(self.mailbox, PyLong_AsUnsignedLongLong(match), &position);
    return find_match(self, match, &position);
}

PyMethodDef receive_functions[] = {
    {"receive", SMARM_FAST_METHOD(receive),
     "receive(match=None, timeout=None)\n--\n\nTake a message out of the running actor's mailbox; park until there "
     "is one.\n\nThe oldest "
     "message that matches: an instance of a type (or of one of a tuple of types), one for which a predicate is true, "
     "the\nDown of a "
     "Ref; None matches any.  The others stay, in order.  Raises Timeout after timeout seconds."},
    {"call", SMARM_FAST_METHOD(call),
     "call(pid, request, /, timeout=5.0)\n--\n\nSend a Call to an actor (by Pid or name) and return its "
     "answer.\n\nRaises ProcessDown at once "
     "when the actor has ended or ends before it answers, Timeout after timeout seconds\n(a later answer is dropped), "
     "NotRegistered, MailboxFull, "
     "NotSendable."},
    {"reply", SMARM_POSITIONAL_METHOD(reply),
     "reply(call, value, /)\n--\n\nAnswer a Call, from any actor.  False: the caller has ended."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace smarm::bind
