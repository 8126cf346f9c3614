#include "bind/join_handle.h"

#include "bind/arguments.h"
#include "bind/raising.h"
#include "bind/signal_functions.h"
#include "interp/method_table.h"
#include "smarm/interp/errors.h"
#include "smarm/interp/failure_report.h"
#include "smarm/interp/imports.h"
#include "smarm/interp/pid_type.h"
#include "smarm/interp/py_actor.h"

namespace smarm::bind {
namespace {

struct JoinHandleObject {
    PyObject_HEAD JoinState* join;  // owned reference
    Pid pid;
    MonitorRef monitor;  // 0: none
};

JoinHandleObject& as_handle(PyObject* self) { return *reinterpret_cast<JoinHandleObject*>(self); }

void handle_dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    auto join = Ref<JoinState>::adopt(as_handle(self).join);
    if (join->drop_handle()) report_failure(*join->reason());
    type->tp_free(self);
    Py_DECREF(type);
}

PyObject* handle_repr(PyObject* self) {
    static constexpr const char* kinds[] = {"running", "returned", "failed", "killed"};
    auto& handle = as_handle(self);
    return PyUnicode_FromFormat("<smarm.JoinHandle of pid %u.%u, %s>", handle.pid.index, handle.pid.generation,
                                kinds[static_cast<int>(handle.join->kind())]);
}

// Raises what smarm._failure makes of the reason: ActorFailed or ActorKilled. Returns nullptr.
PyObject* raise_outcome(const ExitReason* reason, Pid pid, bool reported) {
    PyObject* value = reason ? reason_to_python(*reason) : PyUnicode_FromString("killed");
    if (value)
        Py_XDECREF(call_imported("smarm._failure", "raise_outcome",
                                 Py_BuildValue("(NOO)", make_pid(pid), value, reported ? Py_True : Py_False)));
    Py_XDECREF(value);
    return nullptr;
}

PyObject* handle_join(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    Worker* worker = enter_wait("JoinHandle.join");
    if (!worker) return nullptr;
    Instant deadline = kNever;
    if (count != 0 || names) {
        PyObject* timeout = Py_None;
        if (!read_timeout_keyword("join", arguments, count, names, 0, &timeout)) return nullptr;
        if (!read_timeout(timeout, *worker, deadline)) return nullptr;
    }
    auto& handle = as_handle(self);
    if (handle.pid == worker->current()->pid) {
        PyErr_SetString(PyExc_RuntimeError, "an actor cannot join itself: it would wait for ever");
        return nullptr;
    }
    auto join = Ref<JoinState>::share(handle.join);  // the handle may be dropped while this actor waits
    const Pid pid = handle.pid;
    const Status status = [&] {
        Awaits awaits(*worker->current(), pid);
        join->expect();
        const Status ended = join->join(deadline);
        join->expect_no_more();
        return ended;
    }();
    if (status != Status::ok) return raise_status(status, "the actor did not end before the timeout", "");
    return outcome_to_python(*join, pid);
}

PyObject* handle_observe(PyObject* self, PyObject*) {
    as_handle(self).join->mark_observed();
    Py_RETURN_NONE;
}

PyObject* handle_pid(PyObject* self, void*) { return make_pid(as_handle(self).pid); }

PyObject* handle_monitor(PyObject* self, void*) {
    const MonitorRef ref = as_handle(self).monitor;
    return ref ? make_ref(ref) : Py_NewRef(Py_None);
}

PyObject* handle_reduce(PyObject*, PyObject*) {
    return raise_error("NotSendable", "a JoinHandle stays with the worker that spawned the actor: send handle.pid");
}

PyMethodDef handle_methods[] = {
    {"join", SMARM_FAST_METHOD(handle_join),
     "join($self, /, timeout=None)\n--\n\nWait until the actor has ended and return its value; again and again the "
     "same; None after sys.exit().\n\nRaises "
     "ActorFailed with the actor's exception as cause, ActorKilled when it was stopped, Timeout after timeout "
     "seconds."},
    {"observe", handle_observe, METH_NOARGS,
     "observe($self, /)\n--\n\nSay that somebody looks after the actor's end: its failure is not reported as one that "
     "nobody joined."},
    {"__reduce__", handle_reduce, METH_NOARGS, nullptr},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, nullptr},  // for annotations: JoinHandle[int]
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef handle_attributes[] = {
    {"pid", handle_pid, nullptr, "The actor's Pid; stays valid as a name after the actor has ended.", nullptr},
    {"monitor", handle_monitor, nullptr, "The Ref of spawn(monitor=True), else None.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyType_Slot handle_slots[] = {
    {Py_tp_doc, const_cast<char*>("A spawned actor as its spawner sees it.  Dropping it does not end the actor.")},
    {Py_tp_dealloc, reinterpret_cast<void*>(handle_dealloc)},
    {Py_tp_repr, reinterpret_cast<void*>(handle_repr)},
    {Py_tp_methods, handle_methods},
    {Py_tp_getset, handle_attributes},
    {0, nullptr},
};

PyType_Spec handle_spec = {"smarm.JoinHandle", sizeof(JoinHandleObject), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
                           handle_slots};

}  // namespace

PyObject* outcome_to_python(JoinState& join, Pid pid) {
    const bool reported = join.mark_observed();
    const Message& value = join.value();
    switch (join.kind()) {
        case OutcomeKind::returned:
            if (value.is_parcel()) return interpreter_state()->codec->decode(value.parcel());
            return Py_NewRef(static_cast<PyObject*>(value.local_object()));
        default: return raise_outcome(join.reason().get(), pid, reported);
    }
}

bool create_join_handle_type(InterpreterState& state) {
    state.join_handle_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&handle_spec));
    return state.join_handle_type != nullptr;
}

PyObject* make_join_handle(InterpreterState& state, Pid pid, Ref<JoinState> join) {
    auto* self = PyObject_New(JoinHandleObject, state.join_handle_type);
    if (!self) return nullptr;
    self->join = join.release();
    self->pid = pid;
    self->monitor = 0;
    return reinterpret_cast<PyObject*>(self);
}

void complete_join_handle(PyObject* handle, Pid pid, MonitorRef ref) noexcept {
    as_handle(handle).pid = pid;
    as_handle(handle).monitor = ref;
}

Pid join_handle_pid(PyObject* handle) noexcept { return as_handle(handle).pid; }

JoinState& join_handle_state(PyObject* handle) noexcept { return *as_handle(handle).join; }

}  // namespace smarm::bind
