// unjoined_failures.h: failures of actors whose handle somebody keeps and nobody joins.
//
// What:    note_unjoined_failure keeps a failure for a grace of 1 s (1.1 s at most). A failure that somebody has joined
//          by then, or waits for, is no news; what it holds is freed within 0.1 s of the join. Else an actor of the
//          worker where it happened writes the report. A failure whose handle is gone is reported at once, by whoever
//          comes second: see JoinState. At the end of a run report_unjoined_failures writes what is left.
// Simulation: no grace, as a timer would be a step more: reported at the end.
// Threads: note: the failed actor's worker, in that actor or on the worker's own context. report: attached, able to run
//          Python code.
// Errors:  without memory a failure is reported when its handle goes.
// See:     tests/python/test_failures.py
#pragma once

#include "smarm/base/shared.h"
#include "smarm/wait/join_state.h"

namespace smarm {

void note_unjoined_failure(const Ref<JoinState>& join) noexcept;

// Writes the reports of those whose grace is over, or, with `all`, of all that nobody has joined.
void report_unjoined_failures(bool all);

}  // namespace smarm
