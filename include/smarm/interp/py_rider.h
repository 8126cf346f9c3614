// py_rider.h: the CPython side of a worker: thread states ride its switches, pending calls reach its actors.
//
// What:    one per worker, between the creation and the end of its interpreter. switch_to swaps thread states
//          (smarm_swap, or PyThreadState_Swap when it does not; nullptr: the worker's own state). request_attention
//          makes the running actor call safe_point() at its next eval-breaker check, where an exit request becomes an
//          exception.
// Guards:  safe_point does nothing (and asks again) unless it runs on the worker's OS thread, for the current actor, in
//          an outermost pending-call loop, with the import lock free and no collection under way. See DESIGN, Traps 1
//          and 2. Where it may raise something is for interp/safe_point.h to say; it switches anywhere else, too.
// Threads: the worker's own; request_attention from any.
#pragma once

#include <Python.h>

#include "smarm/base/sync.h"
#include "smarm/cpython/py_swap.h"
#include "smarm/cpython/tls_blocks.h"
#include "smarm/sched/rider.h"
#include "smarm/sched/worker.h"

namespace smarm {

class PyActor;

class PyRider final : public Rider {
public:
    // `own` must be attached on the calling thread, which must be the worker's.
    PyRider(Worker& worker, PyThreadState* own) noexcept;
    ~PyRider() override;

    void switch_to(void* state) noexcept override;
    void before_wait() noexcept override;
    void after_wait() noexcept override;
    void let_others_in() noexcept override;
    bool holds_worker() noexcept override;
    void request_attention() noexcept override;
    void try_request_attention() noexcept override;

    // In a simulation: the running actor is to be preempted where it is, or at its next preemption point. False: an
    // exception is set for it.
    bool preempt_here();

    // In a simulation: a request of the running actor is due. False: its exception is set; true: it cannot be raised
    // here.
    bool interrupt_here();
    // An actor with this thread state has ended.
    void forget(const void* state) noexcept { tls_.forget(state); }

    PyInterpreterState* interpreter() const noexcept { return interpreter_; }
    // Whether switch_to may keep the GIL (smarm_swap).
    bool keeps_gil() const noexcept { return swap_.current != nullptr; }

    // Runs Python's signal handlers: after each wait, and in the running actor after notice_signals. What they raise it
    // passes on as a request. Set on the main lane only.
    void (*check_signals)() = nullptr;
    // Makes the lane call check_signals soon. Any thread.
    void notice_signals() noexcept;

private:
    void request_attention(bool may_wait) noexcept;
    static int safe_point(void* rider);
    bool may_switch(PyThreadState* state) noexcept;
    void note_collector() noexcept;
    bool deliver(PyThreadState* state, PyActor& actor);
    static bool raise_now();
    Worker& worker_;
    PyThreadState* own_;
    PyInterpreterState* interpreter_;
    PyThreadState** pending_handler_;  // in interpreter_, see py_compat.h
    const int* collecting_;            // likewise
    const int pending_limit_;          // the interpreter's own: a rider's call that asks again waits for the next look
    const unsigned forks_;             // fork_count() of its process
    Instant others_since_ = kNever;    // since when threads wait for the GIL; kNever: none does
    const SmarmSwap swap_;
    TlsBlocks tls_;
    Instant held_until_{};                // holds_worker() need not look again before
    PyThreadState* attached_;             // what switch_to made current last
    PyThreadState* collector_ = nullptr;  // switched away while it was collecting garbage (from a finaliser)
    atomic<bool> signalled_{false};       // check_signals is to be called
    // When the pending call was queued or signalled again; relaxed: a pause, not an order.
    atomic<Instant::rep> asked_at_{0};
    atomic<bool> attention_{false};  // a pending call is queued
    atomic<bool> ending_{false};     // the destructor waits for the last one
};

// Takes what is requested of the running actor and sets its exception: ActorExit, Cancelled for a CancelScope, what
// set_exit_exception gave for a signal. Something must be requested. Returns nullptr.
PyObject* raise_exit();

}  // namespace smarm
