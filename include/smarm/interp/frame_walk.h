// frame_walk.h: an actor's Python traceback, read from outside.
//
// What:    walk_frames reads the frames of a thread state that may be running, parked or going away on another thread, and
//          calls visit for each, innermost first. Memory is read through the kernel (process_vm_readv on ourselves), so a
//          pointer that has gone stale ends the walk instead of the process; what it shows of a running actor may be a
//          moment old or cut short, of a parked one it is exact.
// Threads: any, with or without a thread state; no GIL, no lock, no allocation by Python. Errors: none; fewer frames.
#pragma once

#include <Python.h>

#include <functional>
#include <string>

namespace smarm {

struct FrameLine {
    std::string file;
    std::string function;
    int line = 0;
};

// `most`: frames to visit at most.
void walk_frames(const PyThreadState* state, int most, const std::function<void(const FrameLine&)>& visit);

}  // namespace smarm
