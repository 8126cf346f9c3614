#include "smarm/interp/py_rider.h"

#include <utility>

#include <sched.h>

#include "cpython/py_compat.h"
#include "cpython/thread_bound_code.h"
#include "smarm/actor/shield.h"
#include "smarm/cpython/data_stack.h"
#include "smarm/interp/code_watch.h"
#include "smarm/interp/errors.h"
#include "smarm/interp/forked_child.h"
#include "smarm/interp/interpreter_state.h"
#include "smarm/interp/py_actor.h"
#include "smarm/interp/requested_exception.h"
#include "smarm/interp/safe_point.h"
#include "smarm/sched/cancel_scope.h"
#include "smarm/sched/scheduler.h"
#include "smarm/sched/simulation.h"

namespace smarm {
namespace {
constexpr Duration kOthersPatience = std::chrono::milliseconds(1);  // of threads that wait for a busy worker's GIL
constexpr Duration kRepeatPause = std::chrono::milliseconds(20);    // between two signals for one queued call
// between two walks over a stack that holds the worker
constexpr Duration kHoldPause = std::chrono::milliseconds(1);
constexpr Duration kHandOverLimit = std::chrono::milliseconds(1);  // for such a thread to wake up
}  // namespace

PyRider::PyRider(Worker& worker, PyThreadState* own) noexcept
    : worker_(worker),
      own_(own),
      interpreter_(PyThreadState_GetInterpreter(own)),
      pending_handler_(smarm_pending_handler(interpreter_)),
      collecting_(smarm_collecting_flag(interpreter_)),
      pending_limit_(smarm_limit_pending_calls(interpreter_, 1)),
      forks_(fork_count()),
      swap_(smarm_find_swap(own)),
      attached_(own) {
    detail::interpreter_cache.attached = swap_.current;
}

PyRider::~PyRider() {
    // A pending call that still names this rider must run before it is gone; the thread state is attached. What main
    // raised is set meanwhile: Python code must not run with it.
    ending_.store(true, memory_order_release);
    PyObject* raised = PyErr_GetRaisedException();
    while (attention_.load(memory_order_acquire)) {
        if (smarm_make_pending_calls() != 0) drop_exception();
    }
    smarm_limit_pending_calls(interpreter_, pending_limit_);
    PyErr_SetRaisedException(raised);
}

void PyRider::switch_to(void* state) noexcept {
    auto* next = static_cast<PyThreadState*>(state);
    if (next) arm_data_stack(smarm_has_data_stack(next) ? nullptr : worker_.current()->stack.rider_area());
    else {
        arm_data_stack(nullptr);
        next = own_;
    }
    // A switch inside a pending call would end all pending calls of the interpreter: see Trap 1.
    if (__builtin_expect(*pending_handler_ != nullptr, 0)) *pending_handler_ = nullptr;
    if (__builtin_expect(*collecting_, 0)) note_collector();
    PyThreadState* from = std::exchange(attached_, next);
    if (__builtin_expect(tls_object_count.load(memory_order_relaxed) != 0, 0)) tls_.ride(from, next);
    if (!smarm_swap(&swap_, from, next)) PyThreadState_Swap(next);
}

// A finaliser that parks leaves the collection under way, on its actor's behalf: that actor must get to the end of it.
void PyRider::note_collector() noexcept {
    if (!collector_) collector_ = attached_;
}

// Whether an actor may lose its worker here, or be unwound. See DESIGN, Traps 1 and 2.
bool PyRider::may_switch(PyThreadState* state) noexcept {
    const PyThreadState* handler = *pending_handler_;
    if (handler && handler != state) return false;  // inside another actor's pending calls
    if (smarm_import_lock_held(interpreter_)) return false;
    if (!*collecting_) {
        collector_ = nullptr;
        return true;
    }
    return collector_ && collector_ != state;  // somebody else's collection does not hold this actor up
}

void PyRider::before_wait() noexcept { PyEval_SaveThread(); }

void PyRider::after_wait() noexcept {
    PyEval_RestoreThread(own_);
    if (check_signals) check_signals();
}

// CPython makes the holder of a GIL drop it when another thread has waited for 5 ms, but only if it was not switched
// meanwhile; each swap of actors counts as a switch, and takes the GIL back before a waiting thread has woken up. So
// pool threads, threads of the program and (on 3.13) workers that import a single-phase module would starve beside a
// busy lane.
void PyRider::let_others_in() noexcept {
    if (!smarm_gil_has_waiters(interpreter_)) {
        others_since_ = kNever;
        return;
    }
    const Instant now = monotonic_now();
    if (others_since_ == kNever) others_since_ = now;
    if (now - others_since_ < kOthersPatience) return;
    others_since_ = kNever;
    const unsigned long before = smarm_gil_switches(interpreter_);
    PyEval_SaveThread();
    const Instant last = now + kHandOverLimit;
    while (smarm_gil_switches(interpreter_) == before && monotonic_now() < last) sched_yield();
    PyEval_RestoreThread(own_);
}

// Objects that ctypes loads are met here. In a simulation time stands still while an actor runs.
bool PyRider::holds_worker() noexcept {
    find_tls_objects();
    if (thread_bound_count.load(memory_order_relaxed) == 0) return false;
    const Instant now = worker_.driver().now();
    if (now < held_until_) return true;
    if (!in_thread_bound_code()) return false;
    if (!worker_.simulation()) held_until_ = now + kHoldPause;
    return true;
}

void PyRider::notice_signals() noexcept {
    signalled_.store(true, memory_order_release);  // pairs with the exchange in safe_point
    request_attention();
}

void PyRider::request_attention() noexcept { request_attention(true); }

// Inside an allocator: sys._current_frames() allocates while it holds the lock that this takes.
void PyRider::try_request_attention() noexcept { request_attention(false); }

void PyRider::request_attention(bool may_wait) noexcept {
    // Acq_rel: pairs with the store in safe_point; at most one call is queued, so the queue cannot fill up with ours.
    const Instant::rep now = monotonic_now().time_since_epoch().count();
    if (attention_.exchange(true, memory_order_acq_rel)) {
        // A pending call of the program's own that computes makes CPython forget that others wait behind it.
        if (now - asked_at_.load(memory_order_relaxed) < kRepeatPause.count()) return;
        if (smarm_repeat_pending_signal(interpreter_, may_wait)) asked_at_.store(now, memory_order_relaxed);
        return;
    }
    asked_at_.store(now, memory_order_relaxed);
    if (!smarm_add_pending_call(interpreter_, safe_point, this, may_wait))
        attention_.store(false, memory_order_release);
    else if (keeps_gil() && this_worker() != &worker_) smarm_signal_again(interpreter_);
}

int PyRider::safe_point(void* argument) {
    auto& rider = *static_cast<PyRider*>(argument);
    rider.attention_.store(false, memory_order_release);
    if (rider.ending_.load(memory_order_acquire) || rider.forks_ != fork_count()) return 0;
    if (this_worker() != &rider.worker_) {
        rider.request_attention();  // a pool thread of the interpreter ran the call: ask again
        return 0;
    }
    auto* actor = static_cast<PyActor*>(rider.worker_.current());
    PyThreadState* state = PyThreadState_GetUnchecked();
    if (!actor || state != actor->rider_state) {
        if (rider.signalled_.load(memory_order_relaxed)) rider.request_attention();
        return 0;
    }
    const bool may_switch = rider.may_switch(state);
    if (rider.signalled_.load(memory_order_relaxed)) {
        if (!may_switch) return rider.request_attention(), 0;
        rider.signalled_.store(false, memory_order_relaxed);
        rider.check_signals();
    }
    if (!may_switch) {
        // An actor that does nothing but collect would be asked in its collections only.
        if (*rider.collecting_ || actor->requests.is_due(rider.worker_.driver().now())) rider.request_attention();
        return 0;
    }
    rider.worker_.at_safe_point(actor->preemptible(), Deliver::nothing);
    return rider.deliver(state, *actor) ? 0 : -1;
}

// Raises what is requested of the running actor and due, if that may be done here. What may not is tried again: see
// InterruptTimer. False: the exception is set.
bool PyRider::deliver(PyThreadState* state, PyActor& actor) {
    const Instant now = worker_.driver().now();
    if (!actor.preemptible() || !actor.requests.is_due(now) || !is_deliverable(actor)) return true;
    const bool overdue = now - actor.requests.due() >= worker_.scheduler().options().kill_patience;
    const SafePoint point = look_for_safe_point(state, actor, overdue);
    switch (point.may_raise) {
        case MayRaise::here: return raise_now();
        case MayRaise::at_jump_target: return raise_at_jump_target(state, raise_now) || !overdue || raise_now();
        case MayRaise::soon: request_attention(); return true;
        case MayRaise::after_return:
            if (!worker_.simulation()) ask_at_return(state, point.code);
            return true;
        case MayRaise::code_goes_on:
            if (!worker_.simulation()) ask_when_it_goes_on(state, point.code);
            return true;
        case MayRaise::later: return true;
    }
    return true;
}

bool PyRider::raise_now() {
    if (!is_deliverable(*this_actor())) return true;
    raise_exit();
    return false;
}

bool PyRider::preempt_here() {
    Simulation& simulation = *worker_.simulation();
    auto* actor = static_cast<PyActor*>(worker_.current());
    auto* state = static_cast<PyThreadState*>(actor->rider_state);
    if (!actor->preemptible() || !may_switch(state)) {
        simulation.preempt_soon();
        // A run without end is ended wherever it is.
        return !simulation.too_many_steps() || raise_now();
    }
    simulation.preempted();
    worker_.end_turn();
    worker_.at_safe_point(true, Deliver::nothing);
    return deliver(state, *actor);
}

bool PyRider::interrupt_here() {
    auto* actor = static_cast<PyActor*>(worker_.current());
    auto* state = static_cast<PyThreadState*>(actor->rider_state);
    if (!actor->preemptible() || !may_switch(state) || deliver(state, *actor)) return true;
    worker_.simulation()->note_interrupt();
    return false;
}

// Cancelled ends the block of an expired scope: it names the scope, which turns it into what the block's user is to
// see.
static PyObject* make_exception(PyActor& actor, Request request) {
    if (request == Request::signal) return actor.take_exit_exception();
    if (request == Request::scope) {
        PyObject* type = error_type("Cancelled");
        PyObject* exception = type ? PyObject_CallFunction(type, "K", CancelScope::take_expired(actor)) : nullptr;
        Py_XDECREF(type);
        return exception;
    }
    const Ref<ExitReason>& cause = actor.requests.cause();
    PyObject* reason = cause ? reason_to_python(*cause) : PyUnicode_FromString("killed");
    PyObject* exception = reason ? PyObject_CallOneArg(interpreter_state()->actor_exit, reason) : nullptr;
    Py_XDECREF(reason);
    return exception;
}

PyObject* raise_exit() {
    auto* actor = static_cast<PyActor*>(this_actor());
    const Shield shield(*actor);  // what another request raised in the following calls would be lost
    end_watch(static_cast<PyThreadState*>(actor->rider_state));
    const Request request = this_worker()->take_request();
    SMARM_ASSERT(request != Request::none, "an exception was to be raised that nobody has requested");
    watch_lost_exceptions();
    PyObject* exception = make_exception(*actor, request);
    if (!exception) return nullptr;
    mark_requested(*actor, exception);
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(exception)), exception);  // what is handled is its context
    Py_DECREF(exception);
    return nullptr;
}

}  // namespace smarm
