// actor_functions.h: what an actor does with itself and with mailboxes: self, sleep, yield_now, send, receive.
#pragma once

#include <Python.h>

namespace smarm::bind {

extern PyMethodDef actor_functions[];

}  // namespace smarm::bind
