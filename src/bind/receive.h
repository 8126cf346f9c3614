// receive.h: taking messages out of the running actor's mailbox: receive, selective receive, call and reply.
//
// What:    a selective receive looks at the messages from the oldest on and takes the first that matches; the others keep
//          their order. A message is decoded when it is first looked at, and then kept as the object. A search for a Ref
//          starts at the mailbox's mark, so that waiting for the answer to a fresh call costs the same behind a million messages.
#pragma once

#include <Python.h>

namespace smarm::bind {

extern PyMethodDef receive_functions[];

}  // namespace smarm::bind
