// raising.h: exceptions that several functions of the module raise.
#pragma once

#include <Python.h>

#include "smarm/actor/pid.h"
#include "smarm/sched/scheduler.h"
#include "smarm/wait/channel.h"

namespace smarm::bind {

// Raises what a Status other than ok means; the texts are those of Timeout and of Closed. Returns nullptr.
PyObject* raise_status(Status status, const char* timed_out, const char* closed);

// Raises MailboxFull for a message of so many bytes. Returns nullptr.
PyObject* raise_mailbox_full(Scheduler& scheduler, Pid pid, std::size_t bytes);

}  // namespace smarm::bind
