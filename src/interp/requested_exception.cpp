#include "smarm/interp/requested_exception.h"

#include "smarm/actor/actor_table.h"
#include "smarm/interp/errors.h"
#include "smarm/interp/imports.h"
#include "smarm/interp/interpreter_state.h"
#include "smarm/interp/py_actor.h"
#include "smarm/sched/cancel_scope.h"
#include "smarm/sched/scheduler.h"

namespace smarm {
namespace {

constexpr int kLongestChain = 1000;  // of contexts: a program may tie them into a ring
constexpr const char* kMark = "_smarm_pid";

bool is_cancelled(PyObject* exception) {
    PyObject* type = error_type("Cancelled");
    const bool same = type && PyErr_GivenExceptionMatches(exception, type);
    PyErr_Clear();
    Py_XDECREF(type);
    return same;
}

// The bits of the pid of the actor that it was raised in for a request; 0: it was not.
std::uint64_t marked_pid(PyObject* exception) {
    PyObject* mark = PyObject_GetAttrString(exception, kMark);
    const std::uint64_t bits = mark && PyLong_CheckExact(mark) ? PyLong_AsUnsignedLongLong(mark) : 0;
    PyErr_Clear();
    Py_XDECREF(mark);
    return bits;
}

bool is_requested(PyObject* exception) {
    return (is_cancelled(exception) || is_actor_exit(exception)) && marked_pid(exception) != 0;
}

void arm_leaf(Worker& worker, PyObject* exception) {
    Actor* actor = worker.scheduler().table().own(Pid::from_bits(marked_pid(exception)));
    if (!actor) return;
    if (is_cancelled(exception)) CancelScope::expire_again(*actor, cancelled_scope(exception));
    else worker.arm_exit_again(*actor);
}

// The first of `exception` and what was handled when it was raised, and so on, that is wanted: a new reference. Takes
// the reference to `exception`, which may be null.
template <class Wanted>
PyObject* find_in_contexts(PyObject* exception, Wanted wanted) {
    for (int i = 0; exception && i < kLongestChain; ++i) {
        if (wanted(exception)) return exception;
        PyObject* before = PyException_GetContext(exception);
        Py_SETREF(exception, before);
    }
    Py_XDECREF(exception);
    return nullptr;
}

// Whether a requested exception is being handled: it is the handled one, or that one was raised while it was.
bool handles_requested(const PyActor& actor) {
    const auto is_own = [&actor](PyObject* exception) { return marked_pid(exception) == actor.pid.bits(); };
    PyObject* found = find_in_contexts(PyErr_GetHandledException(), is_own);
    Py_XDECREF(found);
    return found != nullptr;
}

}  // namespace

bool is_actor_exit(PyObject* exception) noexcept {
    return PyErr_GivenExceptionMatches(exception, interpreter_state()->actor_exit);
}

void watch_lost_exceptions() noexcept {
    PyObject* done = call_imported("smarm._lost", "watch", PyTuple_New(0));
    PyErr_Clear();
    Py_XDECREF(done);
}

void mark_requested(PyActor& actor, PyObject* exception) noexcept {
    PyObject* mark = PyLong_FromUnsignedLongLong(actor.pid.bits());
    if (!mark || PyObject_SetAttrString(exception, kMark, mark) != 0) PyErr_Clear();
    Py_XDECREF(mark);
    actor.raised_at = actor.worker->driver().now();
}

std::uint64_t cancelled_scope(PyObject* cancelled) noexcept {
    PyObject* arguments = PyException_GetArgs(cancelled);
    std::uint64_t id = 0;
    if (arguments && PyTuple_GET_SIZE(arguments) == 1 && PyLong_CheckExact(PyTuple_GET_ITEM(arguments, 0)))
        id = PyLong_AsUnsignedLongLong(PyTuple_GET_ITEM(arguments, 0));
    PyErr_Clear();
    Py_XDECREF(arguments);
    return id;
}

bool arm_again(PyObject* exception) noexcept {
    Worker* worker = this_worker();
    if (!worker || !PyExceptionInstance_Check(exception) || !find_in_groups(exception, is_requested)) return false;
    find_in_groups(exception, [worker](PyObject* leaf) { return arm_leaf(*worker, leaf), true; });
    return true;
}

const void* handled_exception() noexcept {
    PyObject* handled = PyErr_GetHandledException();
    Py_XDECREF(handled);
    return handled;
}

void arm_overtaken(PyObject* cancelled, const void* handled) noexcept {
    const auto arm = [handled](PyObject* exception) { return exception == handled || (arm_again(exception), false); };
    PyObject* outside = find_in_contexts(PyException_GetContext(cancelled), arm);
    Py_XDECREF(outside);
}

void drop_exception() noexcept {
    PyObject* exception = PyErr_GetRaisedException();
    if (!exception) return;
    if (this_worker()) arm_again(exception);
    Py_DECREF(exception);
}

PyObject* find_in_groups(PyObject* exception, const std::function<bool(PyObject*)>& wanted) noexcept {
    if (!PyErr_GivenExceptionMatches(exception, PyExc_BaseExceptionGroup))
        return wanted(exception) ? exception : nullptr;
    PyObject* members = PyObject_GetAttrString(exception, "exceptions");
    PyObject* found = nullptr;
    if (members && PyTuple_Check(members) && !Py_EnterRecursiveCall(" in an exception group")) {
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(members); ++i) {
            found = find_in_groups(PyTuple_GET_ITEM(members, i), wanted);
            if (!found) break;
        }
        Py_LeaveRecursiveCall();
    }
    PyErr_Clear();
    Py_XDECREF(members);  // the group keeps them
    return found;
}

bool is_unwinding(const Actor& actor) noexcept {
    const auto& unwound = static_cast<const PyActor&>(actor);
    return unwound.raised_at != Instant{} && actor.worker->driver().now() < unwinds_until(actor) &&
           handles_requested(unwound);
}

Instant unwinds_until(const Actor& actor) noexcept {
    return deadline_after(static_cast<const PyActor&>(actor).raised_at,
                          actor.worker->scheduler().options().kill_patience);
}

}  // namespace smarm
