#include "bind/channel_types.h"

#include <cstring>

#include "bind/arguments.h"
#include "bind/message_values.h"
#include "bind/raising.h"
#include "interp/copied_as_itself.h"
#include "interp/method_table.h"
#include "smarm/codec/codec.h"
#include "smarm/interp/errors.h"
#include "smarm/interp/point.h"
#include "smarm/interp/py_actor.h"
#include "smarm/wait/channel.h"

namespace smarm::bind {
namespace {

// One layout for both: End is SenderEnd or ReceiverEnd.
template <class End>
struct EndObject {
    PyObject_HEAD Channel* channel;  // end->channel(), at hand for the hot path
    End* end;                        // owned reference
};

using SenderObject = EndObject<SenderEnd>;
using ReceiverObject = EndObject<ReceiverEnd>;

template <class End>
EndObject<End>& as_end(PyObject* self) {
    return *reinterpret_cast<EndObject<End>*>(self);
}

template <class End>
PyObject* wrap_end(PyTypeObject* type, Ref<End> end) {
    auto* self = PyObject_New(EndObject<End>, type);
    if (!self) return nullptr;
    self->channel = &end->channel();
    self->end = end.release();
    return reinterpret_cast<PyObject*>(self);
}

template <class End>
void end_dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    as_end<End>(self).end->drop_reference();
    type->tp_free(self);
    Py_DECREF(type);
}

template <class End>
PyObject* end_repr(PyObject* self) {
    Channel& channel = *as_end<End>(self).channel;
    const char* closed = channel.closed() ? ", closed" : "";
    if (channel.capacity() == Channel::kUnbounded)
        return PyUnicode_FromFormat("<%s of a channel, %zu waiting%s>", Py_TYPE(self)->tp_name, channel.size(), closed);
    return PyUnicode_FromFormat("<%s of a channel, %zu of %zu waiting%s>", Py_TYPE(self)->tp_name, channel.size(),
                                channel.capacity(), closed);
}

template <class End>
Py_ssize_t end_length(PyObject* self) {
    return static_cast<Py_ssize_t>(as_end<End>(self).channel->size());
}

// Turns a queued local object into a parcel, so that other workers can take it.
bool to_parcel(Message& message) {
    PyObject* object = static_cast<PyObject*>(message.local_object());
    OwnedParcel parcel = interpreter_state()->codec->encode(object, "message");
    if (!parcel) return false;
    message = Message(std::move(parcel));
    return true;
}

template <class End>
Ref<Shared> share_end(PyObject* self) {
    auto& object = as_end<End>(self);
    if (!object.channel->share(to_parcel)) return nullptr;
    return Ref<End>::share(object.end);
}

template <class End>
PyObject* wrap_shared(PyTypeObject* type, Ref<Shared> native) {
    auto* end = dynamic_cast<End*>(native.get());
    if (!end) return raise_error("DecodeError", "a message names something as a channel end that is none");
    return wrap_end(type, Ref<End>::share(end));
}

PyObject* wrap_sender(Ref<Shared> native) {
    return wrap_shared<SenderEnd>(interpreter_state()->sender_type, std::move(native));
}

PyObject* wrap_receiver(Ref<Shared> native) {
    return wrap_shared<ReceiverEnd>(interpreter_state()->receiver_type, std::move(native));
}

// ---- closing --------------------------------------------------------------------------------------------------------

// Reads (cause=None). Empty with an exception set when `failed`, empty without when there is none.
Ref<ExitReason> read_cause(PyObject* const* arguments, Py_ssize_t count, PyObject* names, bool& failed) {
    const Py_ssize_t by_name = names ? PyTuple_GET_SIZE(names) : 0;
    failed = count + by_name > 1 || (by_name && !PyUnicode_EqualToUTF8(PyTuple_GET_ITEM(names, 0), "cause"));
    if (failed) {
        PyErr_SetString(PyExc_TypeError, "close() takes at most one argument: cause");
        return nullptr;
    }
    if (count + by_name == 0 || arguments[0] == Py_None) return nullptr;
    Ref<ExitReason> cause = reason_from_python(arguments[0]);
    failed = !cause;
    return cause;
}

// Raises Closed; `text` says why when there is no cause. Returns nullptr.
PyObject* raise_closed(Channel& channel, const char* text) {
    const Ref<ExitReason> reason = channel.cause();
    if (!reason) return raise_error("Closed", "%s", text);
    PyObject* cause = reason_to_python(*reason);
    PyObject* type = cause ? error_type("Closed") : nullptr;
    PyObject* message = type ? PyUnicode_FromFormat("the channel was closed: %R", cause) : nullptr;
    PyObject* error = message ? PyObject_CallFunctionObjArgs(type, message, cause, nullptr) : nullptr;
    if (error) PyErr_SetObject(type, error);
    Py_XDECREF(error);
    Py_XDECREF(message);
    Py_XDECREF(type);
    Py_XDECREF(cause);
    return nullptr;
}

// ---- attributes of both ends ----------------------------------------------------------------------------------------

template <class End>
PyObject* end_capacity(PyObject* self, void*) {
    const std::size_t capacity = as_end<End>(self).channel->capacity();
    return capacity == Channel::kUnbounded ? Py_NewRef(Py_None) : PyLong_FromSize_t(capacity);
}

template <class End>
PyObject* end_dropped(PyObject* self, void*) {
    return PyLong_FromUnsignedLongLong(as_end<End>(self).channel->dropped());
}

template <class End>
PyObject* end_closed(PyObject* self, void*) {
    return PyBool_FromLong(as_end<End>(self).channel->closed());
}

template <class End>
PyGetSetDef end_attributes[] = {
    {"capacity", end_capacity<End>, nullptr, "How many values may wait; None: any number.", nullptr},
    {"dropped", end_dropped<End>, nullptr, "How many values on_full has dropped so far.", nullptr},
    {"closed", end_closed<End>, nullptr, "Whether nothing can be sent any more.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

// ---- Sender ---------------------------------------------------------------------------------------------------------

PyObject* sender_send(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    Worker* worker = require_actor("Sender.send");
    if (!worker) return nullptr;
    Instant deadline = kNever;
    if (count != 1 || names) {
        PyObject* timeout = Py_None;
        if (!read_timeout_keyword("send", arguments, count, names, 1, &timeout)) return nullptr;
        if (!read_timeout(timeout, *worker, deadline)) return nullptr;
    }
    Channel& channel = *as_end<SenderEnd>(self).channel;
    if (channel.may_wait() && !pass_point(*worker->current())) return nullptr;
    Message message;
    if (!make_message(arguments[0], !channel.shared(), message)) return nullptr;
    Status status = channel.send(message, deadline);
    while (status == Status::must_convert) {
        if (!to_parcel(message)) return nullptr;
        status = channel.send(message, deadline);
    }
    if (__builtin_expect(status == Status::ok, 1)) Py_RETURN_NONE;
    message.give_back();
    if (status == Status::closed)
        return raise_closed(channel, "the channel is closed: it has no receiver any more, or its sender was closed");
    if (status == Status::full)
        return raise_error("Full", "the channel is full: %zu values wait already (its on_full is \"error\")",
                           channel.capacity());
    return raise_status(status,
                        channel.capacity() ? "the channel had no room before the timeout"
                                           : "no receiver took the value before the timeout",
                        "");
}

PyObject* sender_close(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    bool failed = false;
    Ref<ExitReason> cause = read_cause(arguments, count, names, failed);
    if (failed) return nullptr;
    as_end<SenderEnd>(self).channel->close(std::move(cause));
    Py_RETURN_NONE;
}

PyMethodDef sender_methods[] = {
    SMARM_COPIED_AS_ITSELF,
    {"send", SMARM_FAST_METHOD(sender_send),
     "send($self, value, /, timeout=None)\n--\n\nPut a value into the channel.\n\nParks the actor while a bounded "
     "channel is full, "
     "for at most timeout seconds; with capacity 0 until a receiver has taken the value.  A mutable value is copied.\n"
     "Raises Closed, Full (on_full=\"error\"), Timeout, NotSendable."},
    {"close", SMARM_FAST_METHOD(sender_close),
     "close($self, /, cause=None)\n--\n\nClose the channel for every sender: receivers take what is left, then get "
     "Closed.\n\n"
     "cause, an exception or any sendable value, is what their Closed carries.  Raises NotSendable."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, nullptr},  // for annotations: Sender[int]
    {nullptr, nullptr, 0, nullptr},
};

// `if tx:` asks whether there is one, not whether values wait.
int end_is_true(PyObject*) { return 1; }

PyType_Slot sender_slots[] = {
    {Py_tp_doc,
     const_cast<char*>("The end of a channel that values are put into.  Sendable; closed when the last one is gone.")},
    {Py_tp_dealloc, reinterpret_cast<void*>(end_dealloc<SenderEnd>)},
    {Py_tp_repr, reinterpret_cast<void*>(end_repr<SenderEnd>)},
    {Py_tp_methods, sender_methods},
    {Py_tp_getset, end_attributes<SenderEnd>},
    {Py_sq_length, reinterpret_cast<void*>(end_length<SenderEnd>)},
    {Py_nb_bool, reinterpret_cast<void*>(end_is_true)},
    {0, nullptr},
};

PyType_Spec sender_spec = {"smarm.Sender", sizeof(SenderObject), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
                           sender_slots};

// ---- Receiver -------------------------------------------------------------------------------------------------------

PyObject* receive_from(Channel& channel, Instant deadline) {
    Message message;
    const Status status = channel.receive(message, deadline);
    if (__builtin_expect(status == Status::ok, 1)) return open_message(std::move(message));
    if (status == Status::closed) return raise_end_of(channel);
    return raise_status(status, "no value came before the timeout", "");
}

PyObject* receiver_recv(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    Worker* worker = enter_wait("Receiver.recv");
    if (!worker) return nullptr;
    Instant deadline = kNever;
    if (count != 0 || names) {
        PyObject* timeout = Py_None;
        if (!read_timeout_keyword("recv", arguments, count, names, 0, &timeout)) return nullptr;
        if (!read_timeout(timeout, *worker, deadline)) return nullptr;
    }
    return receive_from(*as_end<ReceiverEnd>(self).channel, deadline);
}

PyObject* receiver_next(PyObject* self) {
    if (!enter_wait("Receiver.__next__")) return nullptr;
    Message message;
    Channel& channel = *as_end<ReceiverEnd>(self).channel;
    const Status status = channel.receive(message);
    if (status == Status::ok) return open_message(std::move(message));
    if (status != Status::closed) return raise_status(status, "", "");
    // Without an exception: the end of the iteration. A cause must not look like a plain end.
    return channel.cause() ? raise_end_of(channel) : nullptr;
}

PyObject* receiver_close(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    bool failed = false;
    Ref<ExitReason> cause = read_cause(arguments, count, names, failed);
    if (failed) return nullptr;
    as_end<ReceiverEnd>(self).end->close(std::move(cause));
    Py_RETURN_NONE;
}

PyMethodDef receiver_methods[] = {
    SMARM_COPIED_AS_ITSELF,
    {"recv", SMARM_FAST_METHOD(receiver_recv),
     "recv($self, /, timeout=None)\n--\n\nTake the oldest value; park the actor until there is one.\n\nRaises Closed "
     "when the channel "
     "is empty and no sender is left, Timeout after timeout seconds."},
    {"close", SMARM_FAST_METHOD(receiver_close),
     "close($self, /, cause=None)\n--\n\nDrop what is queued; every sender gets Closed from now on, which carries the "
     "cause."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, nullptr},  // for annotations: Receiver[int]
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot receiver_slots[] = {
    {Py_tp_doc, const_cast<char*>(
                    "The end of a channel that values are taken from.  Iterates until the channel is closed and empty "
                    "(and raises Closed if that had a cause); len() is the number of waiting values.  Sendable.")},
    {Py_tp_dealloc, reinterpret_cast<void*>(end_dealloc<ReceiverEnd>)},
    {Py_tp_repr, reinterpret_cast<void*>(end_repr<ReceiverEnd>)},
    {Py_tp_methods, receiver_methods},
    {Py_tp_getset, end_attributes<ReceiverEnd>},
    {Py_tp_iter, reinterpret_cast<void*>(PyObject_SelfIter)},
    {Py_tp_iternext, reinterpret_cast<void*>(receiver_next)},
    {Py_sq_length, reinterpret_cast<void*>(end_length<ReceiverEnd>)},
    {Py_nb_bool, reinterpret_cast<void*>(end_is_true)},
    {0, nullptr},
};

PyType_Spec receiver_spec = {"smarm.Receiver", sizeof(ReceiverObject), 0,
                             Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
                             receiver_slots};

// ---- channel() ------------------------------------------------------------------------------------------------------

bool read_on_full(const char* wish, std::size_t capacity, OnFull& on_full) {
    static constexpr struct {
        const char* name;
        OnFull value;
    } kNames[] = {{"wait", OnFull::wait},
                  {"drop_oldest", OnFull::drop_oldest},
                  {"drop_newest", OnFull::drop_newest},
                  {"error", OnFull::error}};
    for (const auto& it : kNames) {
        if (std::strcmp(it.name, wish) != 0) continue;
        on_full = it.value;
        if (on_full == OnFull::wait || (capacity != 0 && capacity != Channel::kUnbounded)) return true;
        raise_error("ConfigError", "on_full=\"%s\" needs a channel with a capacity of at least 1", wish);
        return false;
    }
    raise_error("ConfigError", "on_full= is \"wait\", \"drop_oldest\", \"drop_newest\" or \"error\", not \"%.50s\"",
                wish);
    return false;
}

PyObject* make_channel(PyObject*, PyObject* arguments, PyObject* keywords) {
    static const char* names[] = {"capacity", "on_full", nullptr};
    PyObject* wish = Py_None;
    const char* on_full_wish = "wait";
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "|O$s:channel", const_cast<char**>(names), &wish,
                                     &on_full_wish))
        return nullptr;
    if (!require_actor("channel")) return nullptr;
    std::size_t capacity = Channel::kUnbounded;
    if (wish != Py_None) {
        if (!PyIndex_Check(wish))
            return PyErr_Format(PyExc_TypeError, "a channel's capacity is how many values may wait, or None, not %R",
                                wish);
        const Py_ssize_t number = PyNumber_AsSsize_t(wish, nullptr);
        if (number == -1 && PyErr_Occurred()) return nullptr;
        if (number < 0)
            return raise_error("ConfigError", "a channel's capacity must be None or at least 0, not %R", wish);
        capacity = static_cast<std::size_t>(number);
    }
    OnFull on_full = OnFull::wait;
    if (!read_on_full(on_full_wish, capacity, on_full)) return nullptr;
    InterpreterState& state = *interpreter_state();
    try {
        auto channel = make_shared_ref<Channel>(capacity, on_full);
        auto sender_end = make_shared_ref<SenderEnd>(channel);
        auto receiver_end = make_shared_ref<ReceiverEnd>(std::move(channel));
        PyObject* sender = wrap_end(state.sender_type, std::move(sender_end));
        PyObject* receiver = sender ? wrap_end(state.receiver_type, std::move(receiver_end)) : nullptr;
        PyObject* both = receiver ? PyTuple_Pack(2, sender, receiver) : nullptr;
        Py_XDECREF(sender);
        Py_XDECREF(receiver);
        return both;
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    }
}

}  // namespace

Channel* channel_of_receiver(const InterpreterState& state, PyObject* object) noexcept {
    return Py_IS_TYPE(object, state.receiver_type) ? as_end<ReceiverEnd>(object).channel : nullptr;
}

PyObject* raise_end_of(Channel& channel) {
    return raise_closed(channel, "the channel is closed and empty: it has no sender any more");
}

bool create_channel_types(InterpreterState& state) {
    state.sender_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&sender_spec));
    state.receiver_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&receiver_spec));
    if (!state.sender_type || !state.receiver_type) return false;
    codec_of(state).add_native_type({NativeId::sender, state.sender_type, share_end<SenderEnd>, wrap_sender});
    codec_of(state).add_native_type({NativeId::receiver, state.receiver_type, share_end<ReceiverEnd>, wrap_receiver});
    return true;
}

PyMethodDef channel_functions[] = {
    {"channel", SMARM_KEYWORD_METHOD(make_channel),
     "channel(capacity=None, *, on_full='wait')\n--\n\nMake a channel and return its (Sender, Receiver).\n\ncapacity "
     "is how many "
     "values may wait (None: any number); 0 makes it a rendezvous: send returns when a receiver has taken the "
     "value.\non_full says "
     "what send does when that many wait: \"wait\" parks, \"drop_oldest\" and \"drop_newest\" drop a value and count "
     "it,\n\"error\" "
     "raises Full.  Raises ConfigError for values that do not fit."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace smarm::bind
