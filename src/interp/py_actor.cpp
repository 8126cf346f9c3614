#include "smarm/interp/py_actor.h"

#include "interp/py_compat.h"
#include "smarm/fiber/stack.h"
#include "smarm/interp/errors.h"
#include "smarm/interp/interpreter_state.h"
#include "smarm/interp/pid_type.h"

namespace smarm {
namespace {

// Calls smarm._failure.<name>(arguments). Steals `arguments` (a tuple, or nullptr with an exception set).
PyObject* call_failure_helper(const char* name, PyObject* arguments) {
    PyObject* module = arguments ? PyImport_ImportModule("smarm._failure") : nullptr;
    PyObject* function = module ? PyObject_GetAttrString(module, name) : nullptr;
    PyObject* result = function ? PyObject_CallObject(function, arguments) : nullptr;
    Py_XDECREF(function);
    Py_XDECREF(module);
    Py_XDECREF(arguments);
    return result;
}

// Describes the exception for other interpreters, with the exception itself where it can travel. Steals `exception`.
OwnedParcel encode_failure(PyObject* exception, const Actor& actor) {
    const SpawnSite* site = actor.spawn_site;
    PyObject* description = call_failure_helper(
        "describe", Py_BuildValue("(ONzzi)", exception, make_pid(actor.pid), actor.name ? actor.name->c_str() : nullptr,
                                  site ? site->file.c_str() : nullptr, site ? site->line : 0));
    Py_DECREF(exception);
    if (!description) return nullptr;
    InterpreterState* state = interpreter_state();
    OwnedParcel parcel = state->codec.encode(description, "exception");
    if (!parcel) {
        PyErr_Clear();
        const Py_ssize_t last = PyTuple_Size(description) - 1;
        PyObject* parts = PyTuple_GetSlice(description, 0, last);
        PyObject* without = parts ? PySequence_Concat(parts, PyTuple_Pack(1, Py_None)) : nullptr;
        Py_XDECREF(parts);
        if (without) parcel = state->codec.encode(without, "exception");
        Py_XDECREF(without);
    }
    Py_DECREF(description);
    return parcel;
}

}  // namespace

PyActor::~PyActor() {
    // The references were dropped on the actor's own worker, by body() or cancelled(); what never got there (its worker
    // could not be started, the runtime ended) may belong to an interpreter that is not attached, or gone.
    SMARM_ASSERT(!start_.callable && !start_.arguments, "an actor died with objects that it never used");
}

bool PyActor::attach() noexcept {
    PyThreadState* own = PyThreadState_Get();
    PyThreadState* state = PyThreadState_New(PyThreadState_GetInterpreter(own));
    if (!state) return false;
    smarm_limit_recursion(state, stack.low(), stack.usable_bytes());
    rider_state = state;
    return true;
}

void PyActor::detach() noexcept {
    // SAFETY: cleared at the end of body(), not current, and nothing runs on its stack any more; this frees the data-stack
    // chunk inside the stack slot, which the worker gives back after this.
    PyThreadState_Delete(static_cast<PyThreadState*>(rider_state));
}

PyObject* PyActor::exit_exception() const noexcept {
    PyObject* type = exit_exception_.load(memory_order_acquire);
    return type ? type : interpreter_state()->actor_exit;
}

PyObject* PyActor::call() {
    Codec& codec = interpreter_state()->codec;
    if (OwnedParcel parcel = std::move(start_.encoded_callable)) {
        if (!(start_.callable = codec.decode(*parcel))) return nullptr;
    }
    if (OwnedParcel parcel = std::move(start_.encoded_arguments)) {
        if (!(start_.arguments = codec.decode(*parcel))) return nullptr;
    }
    return PyObject_CallObject(start_.callable, start_.arguments);
}

void PyActor::body() noexcept {
    PyObject* result = call();
    if (result) finish_with_result(result);
    else finish_with_error();
    Py_CLEAR(start_.callable);
    Py_CLEAR(start_.arguments);
    join_ = nullptr;
    // Runs destructors of thread-local objects, which may park: it must be here, on the actor's own stack.
    PyThreadState_Clear(static_cast<PyThreadState*>(rider_state));
}

void PyActor::finish(OutcomeKind kind, Message&& value) {
    join_->finish(kind, std::move(value));
    if (on_main_end_) on_main_end_();
}

void PyActor::finish_with_result(PyObject* result) {
    InterpreterState* state = interpreter_state();
    if (on_main_end_ || (!join_->shared() && state->codec.is_immutable(result))) {
        finish(OutcomeKind::returned, Message::local(result));
        return;
    }
    OwnedParcel parcel = state->codec.encode(result, "result");
    Py_DECREF(result);
    if (parcel) finish(OutcomeKind::returned, Message(std::move(parcel)));
    else finish_with_error();
}

void PyActor::finish_with_error() {
    if (on_main_end_) {
        *main_exception_ = PyErr_GetRaisedException();
        finish(OutcomeKind::failed, Message());
        return;
    }
    if (PyErr_ExceptionMatches(interpreter_state()->actor_exit)) {
        PyErr_Clear();
        finish(OutcomeKind::killed, Message());
        return;
    }
    if (PyErr_ExceptionMatches(PyExc_SystemExit)) {  // as in threads: it ends this actor only, and is no failure
        PyErr_Clear();
        finish_with_result(Py_NewRef(Py_None));
        return;
    }
    OwnedParcel parcel = encode_failure(PyErr_GetRaisedException(), *this);
    if (!parcel) PyErr_Clear();
    Ref<JoinState> join = join_;
    finish(OutcomeKind::failed, Message(std::move(parcel)));
    if (join->mark_failed()) report_failure(join->value());
}

void PyActor::cancelled(bool out_of_memory) noexcept {
    Py_CLEAR(start_.callable);
    Py_CLEAR(start_.arguments);
    start_.encoded_callable = nullptr;
    start_.encoded_arguments = nullptr;
    if (!out_of_memory) {
        finish(OutcomeKind::killed, Message());
    } else if (!PyThreadState_GetUnchecked()) {
        finish(OutcomeKind::failed, Message());  // its worker has no interpreter, so there is nothing to describe it with
    } else {
        PyErr_SetString(PyExc_MemoryError, "no memory for the actor's stack; it never ran (fewer actors, or a smaller "
                                           "stack_size, need less)");
        finish_with_error();
    }
    join_ = nullptr;
}

void report_failure(const Message& failure) {
    PyObject* raised = PyErr_GetRaisedException();
    PyObject* description = failure ? interpreter_state()->codec.decode(failure.parcel()) : Py_NewRef(Py_None);
    PyObject* done = description ? call_failure_helper("report", Py_BuildValue("(N)", description)) : nullptr;
    if (!done) PyErr_WriteUnraisable(nullptr);
    Py_XDECREF(done);
    PyErr_SetRaisedException(raised);
}

}  // namespace smarm
