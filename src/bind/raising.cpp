#include "bind/raising.h"

#include "smarm/interp/errors.h"
#include "smarm/interp/py_rider.h"
#include "smarm/sched/scheduler.h"

namespace smarm::bind {

PyObject* raise_status(Status status, const char* timed_out, const char* closed) {
    switch (status) {
        case Status::closed: return raise_error("Closed", "%s", closed);
        case Status::timed_out: return raise_error("Timeout", "%s", timed_out);
        case Status::exit_requested: return raise_exit();
        case Status::no_memory: return PyErr_NoMemory();
        case Status::full:
        case Status::ok:
        case Status::must_convert: break;
    }
    SMARM_ASSERT(false, "this status is not an error");
    return nullptr;
}

PyObject* raise_mailbox_full(Scheduler& scheduler, Pid pid, std::size_t bytes) {
    ActorSnapshot seen;
    if (scheduler.table().look(pid, seen) && seen.mailbox_byte_limit && !seen.lacks_places)
        return raise_error("MailboxFull",
                           "<pid %u.%u> has no room for a message of %zu bytes, its mailbox_byte_limit is %zu: nothing "
                           "was sent",
                           pid.index, pid.generation, bytes, seen.mailbox_byte_limit);
    return raise_error("MailboxFull", "<pid %u.%u> has as many messages as its mailbox_limit allows: nothing was sent",
                       pid.index, pid.generation);
}

}  // namespace smarm::bind
