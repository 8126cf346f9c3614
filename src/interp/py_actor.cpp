#include "smarm/interp/py_actor.h"

#include "cpython/py_compat.h"
#include "smarm/cpython/py_swap.h"
#include "smarm/fiber/stack.h"
#include "smarm/interp/calling_actor.h"
#include "smarm/interp/code_watch.h"
#include "smarm/interp/errors.h"
#include "smarm/interp/failure_report.h"
#include "smarm/interp/forked_child.h"
#include "smarm/interp/imports.h"
#include "smarm/interp/interpreter_state.h"
#include "smarm/interp/pid_type.h"
#include "smarm/interp/py_rider.h"
#include "smarm/interp/requested_exception.h"
#include "smarm/interp/unjoined_failures.h"
#include "smarm/sched/scheduler.h"

namespace smarm {
namespace {

// Does for new actors what threading.settrace() and setprofile() ask for new threads: coverage and debuggers count on
// it. Without the module threading nobody can have asked. False: an exception is set.
bool adopt_hooks_of_threads(const InterpreterState& state) {
    PyObject* threading = PyDict_GetItemWithError(PyImport_GetModuleDict(), state.threading_name);  // borrowed
    if (!threading || !PyModule_Check(threading)) return !PyErr_Occurred();
    const struct {
        PyObject* hook;
        const char* setter;
    } pairs[] = {{state.trace_hook_name, "settrace"}, {state.profile_hook_name, "setprofile"}};
    for (const auto& pair : pairs) {
        PyObject* hook = PyDict_GetItemWithError(PyModule_GetDict(threading), pair.hook);  // borrowed
        if (!hook && PyErr_Occurred()) return false;
        if (!hook || hook == Py_None) continue;
        PyObject* done = PyObject_CallOneArg(PySys_GetObject(pair.setter), hook);
        if (!done) return false;
        Py_DECREF(done);
    }
    return true;
}

}  // namespace

PyActor::~PyActor() {
    // The references were dropped on the actor's own worker, by body() or cancelled(); what never got there (its worker
    // could not be started, the runtime ended) may belong to an interpreter that is not attached, or gone.
    SMARM_ASSERT(!start_.callable && !start_.arguments, "an actor died with objects that it never used");
}

bool PyActor::has_overdue_request() const noexcept {
    const Duration patience = worker->scheduler().options().kill_patience;
    return requests.deliverable() && requests.is_due(worker->driver().now() - patience);
}

bool PyActor::attach() noexcept {
    PyThreadState* own = PyThreadState_Get();
    PyThreadState* state = PyThreadState_New(PyThreadState_GetInterpreter(own));
    if (!state) return false;
    smarm_limit_recursion(state, stack.low(), stack.usable_bytes());
    if (!keeps_thread_ident) smarm_set_thread_ident(state, thread_ident(pid));
    rider_state = state;
    return true;
}

void PyActor::detach() noexcept {
    auto* state = static_cast<PyThreadState*>(rider_state);
    smarm_release_state(state);
    if (worker->rider()) static_cast<PyRider*>(worker->rider())->forget(state);
    // SAFETY: cleared at the end of body(), not current, and nothing runs on its stack any more; this frees the
    //         data-stack chunk inside the stack slot, which the worker gives back after this.
    PyThreadState_Delete(state);
}

PyObject* PyActor::call() {
    ValueCodec& codec = *interpreter_state()->codec;
    if (OwnedParcel parcel = std::move(start_.encoded_callable)) {
        if (!(start_.callable = codec.decode_function(*parcel))) return nullptr;
    }
    worker->note_program();
    if (OwnedParcel parcel = std::move(start_.encoded_arguments)) {
        if (!(start_.arguments = codec.decode_arguments(*parcel))) return nullptr;
    }
    if (!adopt_hooks_of_threads(*interpreter_state())) return nullptr;
    return PyObject_CallObject(start_.callable, start_.arguments);
}

void PyActor::body() noexcept {
    PyObject* result = call();
    if (!this_worker()) end_forked_child(result ? nullptr : PyErr_GetRaisedException());
    end_watch(static_cast<PyThreadState*>(rider_state));
    if (result) finish_with_result(result);
    else finish_with_error();
    Py_CLEAR(start_.callable);
    Py_CLEAR(start_.arguments);
    Py_CLEAR(exit_exception_);
    join_ = nullptr;
    // Runs destructors of thread-local objects, which may park: it must be here, on the actor's own stack.
    PyThreadState_Clear(static_cast<PyThreadState*>(rider_state));
}

void PyActor::finish(OutcomeKind kind, Message&& value) {
    give_back_all(*this);  // before anybody can know that it has ended
    join_->finish(kind, std::move(value), exit_reason);
    if (on_main_end_) on_main_end_();
}

void PyActor::finish_with_result(PyObject* result) {
    InterpreterState* state = interpreter_state();
    if (on_main_end_ || (!join_->shared() && state->codec->is_immutable(result))) {
        finish(OutcomeKind::returned, Message::local(result));
        return;
    }
    OwnedParcel parcel = state->codec->encode(result, "result");
    Py_DECREF(result);
    if (parcel) finish(OutcomeKind::returned, Message(std::move(parcel)));
    else finish_with_error();
}

void PyActor::finish_with_error() {
    PyObject* exception = PyErr_GetRaisedException();
    if (on_main_end_) {
        exit_reason = ExitReason::plain(ExitKind::failed);
        *main_exception_ = exception;
        finish(OutcomeKind::failed, Message());
        return;
    }
    if (PyObject* exit = find_in_groups(exception, is_actor_exit)) {
        Py_INCREF(exit);
        Py_DECREF(exception);
        end_by_exit(exit);
        return;
    }
    if (PyErr_GivenExceptionMatches(exception,
                                    PyExc_SystemExit)) {  // as in threads: it ends this actor only, and is no failure
        Py_DECREF(exception);
        finish_with_result(Py_NewRef(Py_None));
        return;
    }
    exit_reason = describe_failure(exception, *this);
    Py_DECREF(exception);
    Ref<JoinState> join = join_;
    finish(OutcomeKind::failed, Message());
    if (join->mark_failed()) report_failure(*join->reason());
    else if (!join->settled()) note_unjoined_failure(join);
}

// The actor was unwound by ActorExit, with the reason that it carries. Steals `exit`.
void PyActor::end_by_exit(PyObject* exit) {
    PyObject* reason = PyObject_GetAttrString(exit, "reason");
    Py_DECREF(exit);
    exit_reason = reason ? reason_from_python(reason) : nullptr;
    drop_exception();
    Py_XDECREF(reason);
    if (!exit_reason || requests.killed()) exit_reason = ExitReason::plain(ExitKind::killed);
    if (exit_reason->kind() == ExitKind::normal) finish_with_result(Py_NewRef(Py_None));
    else finish(OutcomeKind::killed, Message());
}

void PyActor::cancelled(bool out_of_memory) noexcept {
    Py_CLEAR(start_.callable);
    Py_CLEAR(start_.arguments);
    start_.encoded_callable = nullptr;
    start_.encoded_arguments = nullptr;
    if (main_exception_) *main_exception_ = take_exit_exception();
    if (!out_of_memory) {
        finish(OutcomeKind::killed, Message());
    } else if (!PyThreadState_GetUnchecked()) {
        // Its worker has no interpreter, so there is nothing to describe it with.
        exit_reason = undescribed_failure(*this, "its worker has no interpreter");
        finish(OutcomeKind::failed, Message());
    } else {
        PyErr_SetString(PyExc_MemoryError,
                        "no memory for the actor's stack; it never ran (fewer actors, or a smaller "
                        "stack_size, need less)");
        finish_with_error();
    }
    join_ = nullptr;
}

// What is told instead of a reason that cannot be decoded here (its class is missing or refuses): the end of an actor
// must reach its links and monitors whatever the reason is. Takes the exception that is set.
static PyObject* undecodable(const char* what) {
    if (PyErr_ExceptionMatches(PyExc_MemoryError)) return nullptr;
    PyObject* error = PyErr_GetRaisedException();
    PyObject* text = PyUnicode_FromFormat("<%s that cannot be decoded here: %R>", what, error);
    if (!text && !PyErr_ExceptionMatches(PyExc_MemoryError)) {  // its repr fails, too
        drop_exception();
        text = PyUnicode_FromFormat("<%s that cannot be decoded here: %s>", what, Py_TYPE(error)->tp_name);
    }
    Py_DECREF(error);
    return text;
}

PyObject* reason_to_python(const ExitReason& reason) {
    switch (reason.kind()) {
        case ExitKind::normal: return PyUnicode_FromString("normal");
        case ExitKind::shutdown: return PyUnicode_FromString("shutdown");
        case ExitKind::killed: return PyUnicode_FromString("killed");
        case ExitKind::noproc: return PyUnicode_FromString("noproc");
        case ExitKind::value: {
            PyObject* value = interpreter_state()->codec->decode(*reason.parcel());
            return value ? value : undecodable("reason");
        }
        case ExitKind::failed: break;
    }
    PyObject* fields = reason.parcel() ? interpreter_state()->codec->decode(*reason.parcel()) : Py_NewRef(Py_None);
    if (!fields && !(fields = undecodable("exception"))) return nullptr;
    return call_imported("smarm._failure", "to_exception", Py_BuildValue("(N)", fields));
}

Ref<ExitReason> reason_from_python(PyObject* value) {
    if (PyUnicode_CheckExact(value)) {
        if (PyUnicode_EqualToUTF8(value, "normal")) return ExitReason::plain(ExitKind::normal);
        if (PyUnicode_EqualToUTF8(value, "shutdown")) return ExitReason::plain(ExitKind::shutdown);
        if (PyUnicode_EqualToUTF8(value, "noproc")) return ExitReason::plain(ExitKind::noproc);
    }
    OwnedParcel parcel = interpreter_state()->codec->encode(value, "reason");
    if (!parcel) return nullptr;
    return ExitReason::with(ExitKind::value, std::move(parcel));
}

}  // namespace smarm
