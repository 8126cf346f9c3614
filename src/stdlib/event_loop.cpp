#include "stdlib/event_loop.h"

#include <Python.h>

#include <string_view>

#include "smarm/interp/code_owner.h"
#include "smarm/interp/imports.h"
#include "smarm/interp/point.h"
#include "smarm/interp/requested_exception.h"
#include "smarm/sched/worker.h"

namespace smarm::stdlib {
namespace {

// Where loops wait, and what of ours gives them an exception.
constexpr std::string_view kTrioWait = "/trio/_core/_io_epoll.py";
constexpr std::string_view kAsyncioWait = "/selectors.py";
constexpr const char* kTrio = "smarm._trio";
constexpr const char* kAsyncio = "smarm._own_loop";

const char* giver_for_caller() {
    PyFrameObject* frame = PyThreadState_GetFrame(PyThreadState_GetUnchecked());
    PyCodeObject* code = frame ? PyFrame_GetCode(frame) : nullptr;
    const std::string_view name = code ? text_of(code->co_filename) : std::string_view();
    const char* result = nullptr;
    if (name.ends_with(kTrioWait)) result = kTrio;
    else if (name.ends_with(kAsyncioWait)) result = kAsyncio;
    Py_XDECREF(code);
    Py_XDECREF(frame);
    return result;
}

}  // namespace

bool EventLoopWait::pass_point() {
    shield_.reset();
    clean_up_.reset();
    again_at_ = kNever;
    if (__builtin_expect(!actor_.requests.any(), 1) || !actor_.requests.deliverable()) return true;
    const char* giver = giver_for_caller();
    if (giver == kTrio) return give(giver);
    if (giver && cleans_up_after_kill()) return true;
    // A kill does not wait for what is cancelled, and neither does who asks again.
    const Requests& requests = actor_.requests;
    const bool may_wait = requests.first() != Request::kill && !(requests.asked() && requests.urgent());
    return giver && may_wait && is_deliverable(actor_) ? give(giver) : smarm::pass_point(actor_);
}

// What closes a loop runs it once more, so that its tasks can end: a kill that got it there does not cut that, too.
bool EventLoopWait::cleans_up_after_kill() noexcept {
    const Requests& requests = actor_.requests;
    if (requests.first() != Request::kill || !requests.unwinds_by_kill() || requests.urgent()) return false;
    if (!is_unwinding(actor_)) return false;
    clean_up_.emplace(actor_);
    again_at_ = unwinds_until(actor_);
    return true;
}

// What the loop has been given it raises when its main task can be woken.
void EventLoopWait::hold(Instant until) noexcept {
    shield_.emplace(actor_);
    again_at_ = until;
}

bool EventLoopWait::give(const char* giver) {
    const Requests& requests = actor_.requests;
    const bool told = requests.first() == Request::kill && requests.unwinds_by_kill();
    if (told && !requests.is_due(this_worker()->driver().now())) return hold(requests.due()), true;
    raise_exit();
    PyObject* exception = PyErr_GetRaisedException();
    PyObject* given = exception ? call_imported(giver, "give", Py_BuildValue("(O)", exception)) : nullptr;
    if (!given) drop_exception();
    if (!given || given == Py_False) return PyErr_SetRaisedException(exception), false;
    if (requests.deliverable()) hold(given == Py_True ? requests.due() : kNever);
    Py_DECREF(given);
    Py_XDECREF(exception);
    return true;
}

}  // namespace smarm::stdlib
