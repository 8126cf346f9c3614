// channel_types.h: smarm.Sender and smarm.Receiver, and channel().
//
// What:    heap types that hold a SenderEnd or ReceiverEnd (wait/channel.h); send and recv are C-API methods, because they
//          park. Both can be sent to other actors: the native end is shared, the channel becomes shared with it.
#pragma once

#include <Python.h>

#include "smarm/interp/interpreter_state.h"

namespace smarm::bind {

// Makes both types for the attached interpreter, registers them with its codec. False with an exception set.
bool create_channel_types(InterpreterState& state);

extern PyMethodDef channel_functions[];

}  // namespace smarm::bind
