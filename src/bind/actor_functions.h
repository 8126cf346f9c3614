// actor_functions.h: what an actor does with itself and with others' mailboxes: self, sleep, yield_now, check, send.
#pragma once

#include <Python.h>

namespace smarm::bind {

extern PyMethodDef actor_functions[];

}  // namespace smarm::bind
