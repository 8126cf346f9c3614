// failure_report.h: what is told of an actor that failed: to whoever joins it, and on stderr when nobody does.
//
// What:    describe_failure makes the exit reason of an exception: a parcel from which other interpreters make an
//          ActorFailed, and the text of the report, which needs no interpreter any more. Whatever goes wrong meanwhile
//          (no descriptor is left for the import of traceback, no stack, no memory), the text has the actor, the
//          message and the lines of the traceback. No exit lands in it: it is shielded.
// Threads: describe_failure, undescribed_failure: the actor's worker. report_failure: any, attached or not; it keeps
//          the caller's exception. Throws: no.
#pragma once

#include <Python.h>

#include "smarm/actor/actor.h"

namespace smarm {

// The reason with which `actor` ends that `exception` has left (borrowed). Attached, no exception set.
Ref<ExitReason> describe_failure(PyObject* exception, Actor& actor) noexcept;
// The same without an exception: `why` is the end of a sentence.
Ref<ExitReason> undescribed_failure(const Actor& actor, const char* why) noexcept;

// Says on stderr that an actor failed and nobody joined it: by sys.stderr, or where that fails by the process's.
void report_failure(const ExitReason& reason) noexcept;

}  // namespace smarm
