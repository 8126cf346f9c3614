// message_values.h: Python values in messages, and out of them.
//
// Threads: the actor's worker, attached.
#pragma once

#include <Python.h>

#include "smarm/codec/codec.h"
#include "smarm/msg/message.h"

namespace smarm::bind {

// The rare halves of the functions below, which call them.
PyObject* decode_message(Message&& message);
bool encode_message(PyObject* value, bool local, Message& message);

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

}  // namespace smarm::bind
