// receive.h: taking messages out of the running actor's mailbox: receive, selective receive, call and reply.
//
// What:    a selective receive looks at the messages from the oldest on and takes the first that matches; the others
//          keep their order. A message is decoded when it is first looked at, and then kept as the object. A search for
//          a Ref starts at the mailbox's mark, so that waiting for the answer to a fresh call costs the same behind a
//          million messages.
#pragma once

#include <Python.h>

#include <cstddef>

#include "smarm/actor/actor.h"

namespace smarm::bind {

// Whether messages can be matched by it: None (any), a type, a tuple of types, a predicate or a Ref. False with
// TypeError set.
bool check_match(PyObject* match);
// Where a search in the actor's mailbox for what matches begins.
std::size_t first_position(const Actor& self, PyObject* match);
// Whether the actor may take messages: not in a predicate, nor in what decodes a message that is being looked at. False
// with RuntimeError set.
bool may_take_messages(const Actor& self);
// Searches from `position` on. 1: the message there matches; 0: none does, and `position` is where to go on; -1: an
// exception is set. May run any code, in which messages come and actors switch; none are taken (may_take_messages).
int find_message(Actor& self, PyObject* match, std::size_t& position);

extern PyMethodDef receive_functions[];

}  // namespace smarm::bind
