// interpreter_pool.h: workers' interpreters that are kept for the process's next run, each with its OS thread.
//
// What:    an interpreter that has loaded private copies of extension modules cannot give their memory back: a new one
//          in every run would add megabytes each time. So it stays, idle, on the thread that made it: an interpreter
//          never changes its thread. What is thread-local in extensions, threading.main_thread() and thread states stay
//          right that way. Every other interpreter ends with its run, and its thread with it.
// Key:     text that says which interpreters a run can use: those of runs that load extension modules likewise.
// End:     idle interpreters end on their own threads when the main interpreter exits (atexit), before it forks
//          (CPython cannot fork a process that has several), and before SIGTERM ends the process. None is kept after
//          atexit.
// Threads: start, end_idle: attached to the main interpreter or not at all; kept, keep: a worker's thread.
#pragma once

#include <Python.h>

#include <functional>
#include <memory>
#include <string>

#include "smarm/sched/scheduler.h"

namespace smarm {

class InterpreterPool {
public:
    // Runs `body` on the thread of an idle interpreter that was kept with this key, else on a new thread. May throw
    // std::system_error and bad_alloc.
    static std::unique_ptr<WorkerThread> start(const std::string& key, std::function<void()> body);

    // In `body`: the calling thread's kept interpreter, not attached, which is the caller's from now on; nullptr: there
    // is none.
    static PyThreadState* take() noexcept;
    // In `body`, as its last step: keeps this interpreter, which is attached, and detaches it. False: none is kept any
    // more, and it is still the caller's.
    static bool keep(PyThreadState* own) noexcept;

    // Ends all idle interpreters and waits for that. Attached to the main interpreter, which it lets go of meanwhile.
    static void end_idle();
    // The same, and no other is kept from now on.
    static void close();

    // In a forked child, where neither the threads nor the interpreters are.
    static void forget() noexcept;
};

}  // namespace smarm
