// frame_walk.h: an actor's Python traceback, read from outside.
//
// What:    walk_frames reads the frames of a thread state that may be running, parked or going away on another thread,
//          and calls visit for each, innermost first. Memory is read through the kernel (base/safe_read.h), so a
//          pointer that has gone stale ends the walk instead of the process; what it shows of a running actor may be a
//          moment old or cut short, of a parked one it is exact.
// Threads: any, with or without a thread state, also in a signal handler: no GIL, no lock, no allocation. It needs 8
//          KiB of stack.
// Errors:  none; fewer frames, "?" for names that cannot be read.
#pragma once

#include <Python.h>

#include <functional>

namespace smarm {

// Valid during the visit. Names are cut to 511 characters; other characters than ASCII are '?'.
struct FrameLine {
    const char* file;
    const char* function;
    int line;
};

// `most`: frames to visit at most. A visit that captures no more than one reference does not allocate.
void walk_frames(const PyThreadState* state, int most, const std::function<void(const FrameLine&)>& visit);

}  // namespace smarm
