// dump.h: every actor with its state and Python traceback, for people, also when a worker is wedged.
//
// What:    dump_actors writes a block per actor: pid, name, state, what it waits for and since when it is known to, worker, mailbox,
//          spawn site, traceback. describe_stall says which actor holds a worker up, and in which line.
// Threads: any that is not a worker's; needs no GIL and no cooperation (see interp/frame_walk.h), only the table's pins.
#pragma once

#include <string>

#include "smarm/sched/scheduler.h"

namespace smarm {

void dump_actors(Scheduler& scheduler, int fd);

// Whether the process has OS threads that are not the scheduler's own: they may wake actors in ways that it cannot know.
bool has_foreign_threads(const Scheduler& scheduler);

// One line: worker, how long, pid, name, innermost Python line.
std::string describe_stall(Scheduler& scheduler, Worker& worker, Duration lasted);

}  // namespace smarm
