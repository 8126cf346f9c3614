#include "smarm/interp/lock_code.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "interp/callers.h"
#include "smarm/actor/actor.h"
#include "smarm/interp/code_owner.h"
#include "smarm/interp/requested_exception.h"
#include "smarm/sched/scheduler.h"

namespace smarm {
namespace {

// Of threading, queue and concurrent.futures: what waits with nothing taken when it begins to take its lock. What else
// takes a lock there and in the other modules gives something back or away (Semaphore.release, Event.set), takes a lock
// back (Condition._acquire_restore), or has taken others already.
constexpr std::array<std::string_view, 11> kWaits = {
    "Condition.wait", "Condition.wait_for", "Semaphore.acquire", "Event.wait",    "Barrier.wait",     "Queue.get",
    "Queue.put",      "Queue.join",         "Thread.join",       "Future.result", "Future.exception",
};

// What first gives something away, and waits then.
constexpr std::array<std::string_view, 3> kGives = {
    "Thread.start",
    "ThreadPoolExecutor.submit",
    "ProcessPoolExecutor.submit",
};

bool keeps_books(PyCodeObject* code) {
    const CodeOwner owner = owner_of(code);
    return owner == CodeOwner::bookkeeper || owner == CodeOwner::imports;
}

// get(block=False), which get_nowait calls, acquire(blocking=False): takes the lock, and then does not wait.
bool is_told_not_to_wait(PyFrameObject* frame) {
    for (const char* name : {"block", "blocking"}) {
        PyObject* value = PyFrame_GetVarString(frame, name);
        const bool refused = value && PyObject_Not(value) == 1;
        Py_XDECREF(value);
        drop_exception();
        if (refused) return true;
    }
    return false;
}

// concurrent.futures.wait and as_completed begin with this, which takes the locks of all their futures in turn.
constexpr std::string_view kTakesAll = "_AcquireFutures.__enter__";

bool takes_first_of_all(PyFrameObject* frame) {
    PyObject* self = PyFrame_GetVarString(frame, "self");
    PyObject* futures = self ? PyObject_GetAttrString(self, "futures") : nullptr;
    PyObject* first = futures ? PySequence_GetItem(futures, 0) : nullptr;
    PyObject* taken = first ? PyFrame_GetVarString(frame, "future") : nullptr;
    const bool same = taken && taken == first;
    if (!taken) drop_exception();
    for (PyObject* object : {self, futures, first, taken}) Py_XDECREF(object);
    return same;
}

// What the function that takes a lock is for, as far as that matters.
enum class Taker { program, wait, condition, other };

Taker taker(PyFrameObject* frame) {
    PyCodeObject* code = PyFrame_GetCode(frame);
    Taker result = Taker::program;
    if (keeps_books(code)) {
        const std::string_view name = text_of(code->co_qualname);
        if (name == "Condition.__enter__") result = Taker::condition;
        else if (name == kTakesAll) result = takes_first_of_all(frame) ? Taker::wait : Taker::other;
        else if (std::ranges::find(kWaits, name) == kWaits.end() || is_told_not_to_wait(frame)) result = Taker::other;
        else result = Taker::wait;
    }
    Py_DECREF(code);
    return result;
}

// Whether the standard library waits for something that it has given away. Takes the reference to the frame.
bool waits_for_what_was_given(PyFrameObject* frame) {
    bool given = false;
    for_each_caller(frame, [&given](PyCodeObject* code, PyFrameObject*) {
        const bool in_library = keeps_books(code);
        given = in_library && std::ranges::find(kGives, text_of(code->co_qualname)) != kGives.end();
        return in_library && !given;
    });
    return given;
}

// Whether whoever takes a lock now has nothing to lose: a program, or a wait of the standard library.
bool takes_lock_to_wait(PyThreadState* state) {
    PyFrameObject* frame = PyThreadState_GetFrame(state);
    Taker who = frame ? taker(frame) : Taker::program;
    if (who == Taker::condition) {  // entered by whom?
        PyFrameObject* caller = PyFrame_GetBack(frame);
        who = caller ? taker(caller) : Taker::program;
        Py_XDECREF(caller);
    }
    if (who == Taker::wait) return !waits_for_what_was_given(frame);
    Py_XDECREF(frame);
    return who == Taker::program;
}

}  // namespace

bool waits_by_trying() noexcept {
    PyFrameObject* frame = PyThreadState_GetFrame(PyThreadState_GetUnchecked());
    PyCodeObject* code = frame ? PyFrame_GetCode(frame) : nullptr;
    const bool found = code && owner_of(code) == CodeOwner::library && text_of(code->co_qualname) == "Popen._wait";
    Py_XDECREF(code);
    Py_XDECREF(frame);
    return found;
}

bool may_cut_lock(const Actor& actor) noexcept {
    return (actor.requests.urgent() || !is_unwinding(actor)) && takes_lock_to_wait(PyThreadState_GetUnchecked());
}

Instant lock_is_held_out_until(const Actor& actor) noexcept {
    Worker& worker = *actor.worker;
    const SchedulerOptions& options = worker.scheduler().options();
    const Instant now = worker.driver().now();
    const Instant last = is_unwinding(actor) ? unwinds_until(actor) : deadline_after(now, options.kill_patience);
    return actor.requests.urgent() ? std::min(last, deadline_after(now, options.interrupt_after)) : last;
}

}  // namespace smarm
