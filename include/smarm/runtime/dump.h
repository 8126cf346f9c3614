// dump.h: every actor with its state and Python traceback, for people, also when a worker is wedged.
//
// What:    dump_actors writes a block per actor: pid, name, state, what it waits for (and for whom, where that is
//          known) and how long, worker, mailbox, spawn site, traceback. report_deadlock adds who waits for whom, and
//          the circles in that. describe_stall says which actor holds a worker up, and in which line.
// Time:    how long an actor has been parked is right to some milliseconds (Worker::note_time).
// Threads: any that is not a worker's; needs no GIL and no cooperation (see cpython/frame_walk.h), and holds no lock
//          while it works (see actor_snapshot.h).
// Blocks:  no, but for what `write` does; the Reporter has a thread for that. Memory: bounded, a dump is made a piece
//          at a time.
#pragma once

#include <functional>
#include <string>

#include "smarm/sched/scheduler.h"

namespace smarm {

// Takes a piece of text; false: nobody wants more.
using WriteText = std::function<bool(const std::string& text)>;

void dump_actors(Scheduler& scheduler, const WriteText& write);
// Every actor as in a dump, and who waits for whom.
std::string describe_deadlock(Scheduler& scheduler, Instant now);
// The innermost Python line of an actor that does not run as "file:line in function", or nothing.
std::string place_of(const Actor& actor);

void report_deadlock(Scheduler& scheduler, const WriteText& write);

// Some of the actors that are alive, a line each with the place where it is, those that run first.
std::string describe_left(Scheduler& scheduler);

// Whether the process has OS threads that are not the scheduler's own, nor of the `known` ones: they may wake actors in
// ways that it cannot know.
bool has_foreign_threads(const Scheduler& scheduler, unsigned known);

// One line: worker, how long, pid, name, innermost Python line.
std::string describe_stall(Scheduler& scheduler, Worker& worker, Duration lasted);

}  // namespace smarm
