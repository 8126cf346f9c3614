// net_types.h: smarm.net.Connection and Listener: stream sockets that park.
//
// What:    heap types around an OwnedFd (wait/reactor.h). Each operation tries its system call first, with the GIL
//          held: on a non-blocking socket it takes a microsecond; only a refusal parks the actor.
// Owner:   the object owns its fd; close() ends the waits of all actors with Closed. They stay in their interpreter.
#pragma once

#include <Python.h>

#include "smarm/interp/interpreter_state.h"

namespace smarm::bind {

// Makes both types for the attached interpreter. False with an exception set.
bool create_net_types(InterpreterState& state);

}  // namespace smarm::bind
