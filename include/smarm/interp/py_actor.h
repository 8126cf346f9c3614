// py_actor.h: an actor that runs a Python callable.
//
// What:    carries the callable and its arguments to the worker that will run it (by reference when that worker is the
//          spawner's own and they are immutable, else as a parcel), gives it a PyThreadState of its own, calls it, and
//          tells the JoinState how it ended. A failure that nobody will observe is reported on stderr, once.
// Errors:  MemoryError as the failure of an actor that got no stack or thread state; what decoding the arguments raises
//          is the actor's failure too.
// Threads: made on the spawner's worker (attached), everything else on its own.
#pragma once

#include <Python.h>

#include "smarm/actor/actor.h"
#include "smarm/base/clock.h"
#include "smarm/wait/join_state.h"

namespace smarm {

class PyActor final : public Actor {
public:
    // The callable and its arguments (a tuple): each either an object of this interpreter (owned) or a parcel.
    struct Start {
        PyObject* callable = nullptr;
        PyObject* arguments = nullptr;
        OwnedParcel encoded_callable;
        OwnedParcel encoded_arguments;
    };
    PyActor(Start start, Ref<JoinState> join) noexcept : start_(std::move(start)), join_(std::move(join)) {}
    ~PyActor() override;

    bool attach() noexcept override;
    void body() noexcept override;
    void detach() noexcept override;
    void cancelled(bool out_of_memory) noexcept override;

    // The exception that the next exit request raises instead of ActorExit. Takes a new reference, gives one back
    // (nullptr: none). On the actor's worker.
    void set_exit_exception(PyObject* exception) noexcept { Py_XSETREF(exit_exception_, exception); }
    PyObject* take_exit_exception() noexcept {
        if (exit_exception_ && on_main_told_) on_main_told_();
        return std::exchange(exit_exception_, nullptr);
    }

    Instant raised_at{};  // when an exception was last raised in it for a request; the epoch: never

    // no_preempt() sections nest. They hold until what is requested of the actor has been due for kill_patience.
    bool preemptible() const noexcept { return no_preempt_depth_ == 0 || has_overdue_request(); }
    void enter_no_preempt() noexcept { ++no_preempt_depth_; }
    void leave_no_preempt() noexcept { --no_preempt_depth_; }

    // Makes this the main actor: its result stays an object (a local Message in the JoinState), so does its exception
    // (a new reference in *exception), and on_end is called on its own stack when they are there.
    // on_told: what set_exit_exception gave is being raised.
    void make_main(void (*on_end)(), PyObject** exception, void (*on_told)()) noexcept {
        on_main_end_ = on_end;
        on_main_told_ = on_told;
        main_exception_ = exception;
    }

private:
    bool has_overdue_request() const noexcept;
    PyObject* call();
    void finish_with_result(PyObject* result);
    void finish_with_error();
    void finish(OutcomeKind kind, Message&& value);
    void end_by_exit(PyObject* exit);

    Start start_;
    Ref<JoinState> join_;
    PyObject* exit_exception_ = nullptr;
    PyObject** main_exception_ = nullptr;
    void (*on_main_end_)() = nullptr;
    void (*on_main_told_)() = nullptr;
    unsigned no_preempt_depth_ = 0;
};

// Returns the Python value that stands for the reason: "normal", "shutdown", "killed", "noproc", the value given to
// exit(), or an ActorFailed (new reference; nullptr with an exception set).
PyObject* reason_to_python(const ExitReason& reason);
// The reverse for what users give to exit() and ActorExit. Empty with NotSendable set when it cannot travel.
Ref<ExitReason> reason_from_python(PyObject* value);

}  // namespace smarm
