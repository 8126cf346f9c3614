// placement.h: where a new actor runs, by what spawn's on= says and by what it is to run.
//
// What:    on=None lets any worker take a callable that another interpreter finds by its name, and keeps others on the
//          caller's worker. A thread that is no worker has no "local". In a simulation every place is its one worker.
// Errors:  false with ConfigError set.
// See:     tests/python/test_placement.py; Scheduler::spawn for what becomes of a place
#pragma once

#include <Python.h>

#include "smarm/sched/scheduler.h"

namespace smarm::bind {

struct Placement {
    Scheduler::Place place = Scheduler::Place::local;
    unsigned worker = 0;
};

// For an actor of worker `own`.
bool read_placement(const Worker& own, PyObject* callable, PyObject* on, Placement& placement);
// For a thread that is no worker, beside `workers` of them.
bool read_placement_from_outside(unsigned workers, PyObject* callable, PyObject* on, Placement& placement);

}  // namespace smarm::bind
