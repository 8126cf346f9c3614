// runtime.h: the composition root: scheduler, workers with their interpreters, signals, shutdown.
//
// What:    Runtime::run runs a Python callable as the main actor on the calling OS thread, whose interpreter is the
//          main lane, and returns its value when every actor has ended.
// Shutdown, numbered (each step is finished before the next begins):
//   1. the main actor ends (returns, raises, or an exit was requested of it by SIGINT or SIGTERM)
//   2. intake stops: spawn is refused
//   3. every actor is asked to exit: ActorExit is raised in it at its next park or safe point, so that finally blocks
//      run; again when none has ended for a third of shutdown_timeout
//   4. each worker ends its interpreter on its own OS thread, and the thread ends
//   5. signal handlers are put back; run returns main's value or raises its exception
//   An actor that will not end is given up: its worker's interpreter and thread are left behind, stderr says so.
// Signals: SIGINT raises KeyboardInterrupt in the main actor, SIGTERM ActorExit (then the process ends by SIGTERM after
//          step 5). Once main has ended, another one ends the process at once. SIGQUIT dumps all actors to stderr. Only
//          when run is called on the process's main thread and the program has not installed handlers of its own; what
//          those raise is raised in the main actor, too.
// Threads: run: one at a time per process, attached to the main interpreter. current(): any.
#pragma once

#include <Python.h>

#include <memory>

#include "smarm/interp/interpreter.h"
#include "smarm/runtime/config.h"
#include "smarm/runtime/end_watch.h"
#include "smarm/runtime/reporter.h"
#include "smarm/sched/scheduler.h"

namespace smarm {

class PyRider;
class SignalWatch;

class Runtime {
public:
    // The running one, or nullptr.
    static Runtime* current() noexcept;

    // Returns a new reference, or nullptr with main's exception (or AlreadyRunning, NoRuntime, MemoryError) set.
    static PyObject* run(const RuntimeConfig& config, PyObject* main, PyObject* arguments);

    // Whether a runtime of this process has given up actors: their interpreters and threads are still there, so Python
    // must not be finalised.
    static bool left_behind() noexcept;

    // Takes what new interpreters copy from the main one (sys.path, how to find __main__). Must be called before an
    // actor may go to another worker; the first such actor comes from the main lane, as late as the program allows: it
    // may have changed its sys.path by then. False: a Python exception is set.
    bool ready_for_workers();
    // Changes what can change while worker 0 is the only one. False: there are others already. Main lane only.
    bool reconfigure(unsigned workers, Duration shutdown_timeout, Duration spin);

    // Whether the calling actor is the main one, and not shielded.
    bool runs_main() const noexcept;
    // Requests the exception of a signal handler (a new reference) of the main actor: it is raised at its next point,
    // or safe point. Once that has ended, run() raises it. On the main lane.
    void request_in_main(PyObject* exception);

    Scheduler& scheduler() noexcept { return *scheduler_; }
    Reporter& reporter() noexcept { return *reporter_; }
    EndWatch& end_watch() noexcept { return *end_watch_; }
    // The main actor has ended, and all are to end. On the main lane.
    void note_main_ended() noexcept;
    const RuntimeConfig& config() const noexcept { return config_; }
    Pid main_pid() const noexcept { return main_pid_; }

private:
    explicit Runtime(const RuntimeConfig& config) noexcept : config_(config) {}
    bool prepare();
    void configure_codec();
    PyObject* run_main(PyObject* main, PyObject* arguments);
    void enter_worker(Worker& worker);
    void watch_signals(SignalWatch& signals, PyRider& rider);
    void forget_stuck_workers();
    void raise_after_main(PyObject* exception) noexcept;

    RuntimeConfig config_;
    MainSnapshot snapshot_;
    bool ready_for_workers_ = false;  // written by the main lane before it starts another worker
    std::unique_ptr<Scheduler> scheduler_;
    std::unique_ptr<Reporter> reporter_;
    std::unique_ptr<EndWatch> end_watch_;
    PyObject* main_exception_ = nullptr;  // what run() raises (a new reference), from main's end on
    bool main_ended_ = false;
    Pid main_pid_;
};

}  // namespace smarm
