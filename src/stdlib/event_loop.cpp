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
constexpr const char* kAsyncio = "smarm._asyncio";

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
    patient_shield_.reset();
    again_at_ = kNever;
    if (__builtin_expect(!actor_.requests.any(), 1) || !is_deliverable(actor_)) return true;
    const char* giver = giver_for_caller();
    if (giver == kTrio) return give_to_trio();
    const Requests& requests = actor_.requests;
    const bool asked_again = requests.asked() && requests.urgent();
    if (giver != kAsyncio || asked_again) return smarm::pass_point(actor_);
    const bool told = requests.first() == Request::kill && requests.unwinds_by_kill();
    if (!told) return give_to_asyncio();
    if (this_worker()->driver().now() >= unwinds_until(actor_)) return smarm::pass_point(actor_);
    hold_patiently();
    return true;
}

// What the loop has been given it raises when its main task can be woken.
void EventLoopWait::hold(Instant until) noexcept {
    shield_.emplace(actor_);
    again_at_ = until;
}

void EventLoopWait::hold_patiently() noexcept {
    patient_shield_.emplace(actor_);
    again_at_ = unwinds_until(actor_);
}

bool EventLoopWait::give_to_trio() {
    const Requests& requests = actor_.requests;
    const bool told = requests.first() == Request::kill && requests.unwinds_by_kill();
    if (told && !requests.is_due(this_worker()->driver().now())) return hold(requests.due()), true;
    const Given given = give(kTrio);
    if (given == Given::no) return false;
    if (requests.deliverable()) hold(given == Given::yes ? requests.due() : kNever);
    return true;
}

bool EventLoopWait::give_to_asyncio() {
    const Given given = give(kAsyncio);
    if (given == Given::no) return false;
    if (given == Given::later) hold(kNever);
    else if (actor_.requests.killed()) hold_patiently();
    return true;
}

// no: the exception is set. later: the loop is about to be left, and it is requested again for after that.
EventLoopWait::Given EventLoopWait::give(const char* giver) {
    raise_exit();
    PyObject* exception = PyErr_GetRaisedException();
    PyObject* given = exception ? call_imported(giver, "give", Py_BuildValue("(O)", exception)) : nullptr;
    if (!given) drop_exception();
    if (!given || given == Py_False) return PyErr_SetRaisedException(exception), Given::no;
    const Given result = given == Py_True ? Given::yes : Given::later;
    Py_DECREF(given);
    Py_DECREF(exception);
    return result;
}

}  // namespace smarm::stdlib
