#include "bind/channel_types.h"

#include "bind/arguments.h"
#include "smarm/interp/errors.h"
#include "smarm/wait/channel.h"

namespace smarm::bind {
namespace {

constexpr std::uint8_t kSenderId = 1;
constexpr std::uint8_t kReceiverId = 2;

// One layout for both: End is SenderEnd or ReceiverEnd.
template <class End>
struct EndObject {
    PyObject_HEAD
    Channel* channel;  // end->channel(), at hand for the hot path
    End* end;          // owned reference
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
    const Channel& channel = *as_end<End>(self).channel;
    return PyUnicode_FromFormat("<%s of a channel, %zu waiting>", Py_TYPE(self)->tp_name, channel.size());
}

template <class End>
Py_ssize_t end_length(PyObject* self) {
    return static_cast<Py_ssize_t>(as_end<End>(self).channel->size());
}

// Turns a queued local object into a parcel, so that other workers can take it.
bool to_parcel(Message& message) {
    PyObject* object = static_cast<PyObject*>(message.local_object());
    OwnedParcel parcel = interpreter_state()->codec.encode(object, "message");
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

PyObject* wrap_sender(Ref<Shared> native) { return wrap_shared<SenderEnd>(interpreter_state()->sender_type, std::move(native)); }

PyObject* wrap_receiver(Ref<Shared> native) { return wrap_shared<ReceiverEnd>(interpreter_state()->receiver_type, std::move(native)); }

// ---- Sender ----------------------------------------------------------------------------------------------------------

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
    Message message;
    if (!make_message(arguments[0], !channel.shared(), message)) return nullptr;
    Status status = channel.send(message, deadline);
    while (status == Status::must_convert) {
        if (!to_parcel(message)) return nullptr;
        status = channel.send(message, deadline);
    }
    if (__builtin_expect(status != Status::ok, 0))
        return raise_status(status, "the channel had no room before the timeout",
                            "the channel is closed: it has no receiver any more, or its sender was closed");
    Py_RETURN_NONE;
}

PyObject* sender_close(PyObject* self, PyObject*) {
    as_end<SenderEnd>(self).channel->close();
    Py_RETURN_NONE;
}

PyMethodDef sender_methods[] = {
    {"send", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(sender_send)), METH_FASTCALL | METH_KEYWORDS,
     "send($self, value, /, timeout=None)\n--\n\nPut a value into the channel.\n\nParks the actor while a bounded channel is full, "
     "for at most timeout seconds.  A mutable value is copied.\nRaises Closed, Timeout, NotSendable."},
    {"close", sender_close, METH_NOARGS,
     "close($self, /)\n--\n\nClose the channel for every sender: receivers take what is left, then get Closed."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, nullptr},  // for annotations: Sender[int]
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot sender_slots[] = {
    {Py_tp_doc, const_cast<char*>("The end of a channel that values are put into.  Sendable; closed when the last one is gone.")},
    {Py_tp_dealloc, reinterpret_cast<void*>(end_dealloc<SenderEnd>)},
    {Py_tp_repr, reinterpret_cast<void*>(end_repr<SenderEnd>)},
    {Py_tp_methods, sender_methods},
    {0, nullptr},
};

PyType_Spec sender_spec = {"smarm.Sender", sizeof(SenderObject), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE, sender_slots};

// ---- Receiver --------------------------------------------------------------------------------------------------------

PyObject* receive_from(Channel& channel, Instant deadline) {
    Message message;
    const Status status = channel.receive(message, deadline);
    if (__builtin_expect(status != Status::ok, 0))
        return raise_status(status, "no value came before the timeout", "the channel is closed and empty: it has no sender any more");
    return open_message(std::move(message));
}

PyObject* receiver_recv(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    Worker* worker = require_actor("Receiver.recv");
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
    if (!require_actor("Receiver.__next__")) return nullptr;
    Message message;
    const Status status = as_end<ReceiverEnd>(self).channel->receive(message);
    if (status == Status::ok) return open_message(std::move(message));
    if (status != Status::closed) raise_status(status, "", "");
    return nullptr;  // without an exception: the end of the iteration
}

PyObject* receiver_close(PyObject* self, PyObject*) {
    as_end<ReceiverEnd>(self).end->close();
    Py_RETURN_NONE;
}

PyMethodDef receiver_methods[] = {
    {"recv", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(receiver_recv)), METH_FASTCALL | METH_KEYWORDS,
     "recv($self, /, timeout=None)\n--\n\nTake the oldest value; park the actor until there is one.\n\nRaises Closed when the channel "
     "is empty and no sender is left, Timeout after timeout seconds."},
    {"close", receiver_close, METH_NOARGS, "close($self, /)\n--\n\nDrop what is queued; every sender gets Closed from now on."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, nullptr},  // for annotations: Receiver[int]
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot receiver_slots[] = {
    {Py_tp_doc, const_cast<char*>("The end of a channel that values are taken from.  Iterates until the channel is closed and empty; "
                                  "len() is the number of waiting values.  Sendable.")},
    {Py_tp_dealloc, reinterpret_cast<void*>(end_dealloc<ReceiverEnd>)},
    {Py_tp_repr, reinterpret_cast<void*>(end_repr<ReceiverEnd>)},
    {Py_tp_methods, receiver_methods},
    {Py_tp_iter, reinterpret_cast<void*>(PyObject_SelfIter)},
    {Py_tp_iternext, reinterpret_cast<void*>(receiver_next)},
    {Py_sq_length, reinterpret_cast<void*>(end_length<ReceiverEnd>)},
    {0, nullptr},
};

PyType_Spec receiver_spec = {"smarm.Receiver", sizeof(ReceiverObject), 0,
                             Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE, receiver_slots};

// ---- channel() -------------------------------------------------------------------------------------------------------

PyObject* make_channel(PyObject*, PyObject* arguments, PyObject* keywords) {
    static const char* names[] = {"capacity", nullptr};
    PyObject* wish = Py_None;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "|O:channel", const_cast<char**>(names), &wish)) return nullptr;
    if (!require_actor("channel")) return nullptr;
    std::size_t capacity = Channel::kUnbounded;
    if (wish != Py_None) {
        const Py_ssize_t number = PyNumber_AsSsize_t(wish, nullptr);
        if (number == -1 && PyErr_Occurred()) return nullptr;
        if (number < 1) return raise_error("ConfigError", "a channel's capacity must be None or at least 1, not %R", wish);
        capacity = static_cast<std::size_t>(number);
    }
    InterpreterState& state = *interpreter_state();
    try {
        auto channel = make_shared_ref<Channel>(capacity);
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

bool create_channel_types(InterpreterState& state) {
    state.sender_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&sender_spec));
    state.receiver_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&receiver_spec));
    if (!state.sender_type || !state.receiver_type) return false;
    state.codec.add_native_type({kSenderId, state.sender_type, share_end<SenderEnd>, wrap_sender});
    state.codec.add_native_type({kReceiverId, state.receiver_type, share_end<ReceiverEnd>, wrap_receiver});
    return true;
}

PyMethodDef channel_functions[] = {
    {"channel", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(make_channel)), METH_VARARGS | METH_KEYWORDS,
     "channel(capacity=None)\n--\n\nMake a channel and return its (Sender, Receiver).\n\ncapacity is how many values may wait before "
     "send parks (None: any number).  Raises ConfigError for a capacity below 1."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace smarm::bind
