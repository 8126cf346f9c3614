// channel_types.h: smarm.Sender and smarm.Receiver, and channel().
//
// What:    heap types that hold a SenderEnd or ReceiverEnd (wait/channel.h); send and recv are C-API methods, because
//          they park. Both can be sent to other actors: the native end is shared, the channel becomes shared with it.
#pragma once

#include <Python.h>

#include "smarm/interp/interpreter_state.h"
#include "smarm/wait/channel.h"

namespace smarm::bind {

// Makes both types for the attached interpreter, registers them with its codec. False with an exception set.
bool create_channel_types(InterpreterState& state);

// The channel of a smarm.Receiver (borrowed), or nullptr when the object is none.
Channel* channel_of_receiver(const InterpreterState& state, PyObject* object) noexcept;
// Raises what a receiver gets from a closed and empty channel: Closed, with its cause. Returns nullptr.
PyObject* raise_end_of(Channel& channel);

extern PyMethodDef channel_functions[];

}  // namespace smarm::bind
