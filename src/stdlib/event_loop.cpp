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

constexpr std::string_view kTrioWait = "/trio/_core/_io_epoll.py";

bool called_by_trio() {
    PyFrameObject* frame = PyThreadState_GetFrame(PyThreadState_GetUnchecked());
    PyCodeObject* code = frame ? PyFrame_GetCode(frame) : nullptr;
    const bool result = code && text_of(code->co_filename).ends_with(kTrioWait);
    Py_XDECREF(code);
    Py_XDECREF(frame);
    return result;
}

}  // namespace

bool EventLoopWait::pass_point() {
    shield_.reset();
    again_at_ = kNever;
    if (__builtin_expect(!actor_.requests.any(), 1) || !actor_.requests.deliverable()) return true;
    return called_by_trio() ? give() : smarm::pass_point(actor_);
}

// What the loop has been given it raises when its main task can be woken.
void EventLoopWait::hold(Instant until) noexcept {
    shield_.emplace(actor_);
    again_at_ = until;
}

bool EventLoopWait::give() {
    const Requests& requests = actor_.requests;
    const bool told = requests.first() == Request::kill && requests.unwinds_by_kill();
    if (told && !requests.is_due(this_worker()->driver().now())) return hold(requests.due()), true;
    raise_exit();
    PyObject* exception = PyErr_GetRaisedException();
    PyObject* given = exception ? call_imported("smarm._trio", "give", Py_BuildValue("(O)", exception)) : nullptr;
    if (!given) drop_exception();
    if (!given || given == Py_False) return PyErr_SetRaisedException(exception), false;
    if (requests.deliverable()) hold(given == Py_True ? requests.due() : kNever);
    Py_DECREF(given);
    Py_XDECREF(exception);
    return true;
}

}  // namespace smarm::stdlib
