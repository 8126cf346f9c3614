#include "bind/portal_functions.h"

#include <algorithm>
#include <new>

#include <unistd.h>

#include "bind/arguments.h"
#include "bind/join_handle.h"
#include "bind/raising.h"
#include "bind/signal_functions.h"
#include "bind/spawn.h"
#include "interp/method_table.h"
#include "smarm/interp/errors.h"
#include "smarm/interp/failure_report.h"
#include "smarm/interp/pid_type.h"
#include "smarm/interp/point.h"
#include "smarm/interp/py_actor.h"
#include "smarm/runtime/portal.h"
#include "smarm/runtime/runtime.h"
#include "smarm/sched/signals.h"

namespace smarm::bind {
namespace {

// ---- the handle of an actor that was spawned from outside -----------------------------------------------------------

struct OutsideHandleObject {
    PyObject_HEAD JoinState* join;  // owned references
    OutsideJoin* outside;
    Pid pid;
};

OutsideHandleObject& as_outside_handle(PyObject* self) { return *reinterpret_cast<OutsideHandleObject*>(self); }

void outside_dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    const auto join = Ref<JoinState>::adopt(as_outside_handle(self).join);
    as_outside_handle(self).outside->drop_reference();
    if (join->drop_handle()) report_failure(*join->reason());
    type->tp_free(self);
    Py_DECREF(type);
}

bool in_actor() noexcept { return this_actor() != nullptr; }

// wait(timeout): whether it has ended.
PyObject* outside_wait(PyObject* self, PyObject* timeout) {
    auto& handle = as_outside_handle(self);
    Instant deadline = kNever;
    if (timeout != Py_None) {
        Duration duration{};
        if (!read_seconds(timeout, duration)) return nullptr;
        deadline = deadline_after(monotonic_now(), duration);
    }
    if (in_actor()) {
        if (!pass_point(*this_actor())) return nullptr;
        if (handle.outside->done()) Py_RETURN_TRUE;
        const auto join = Ref<JoinState>::share(handle.join);
        const Status status = join->join(deadline);
        return status == Status::exit_requested ? raise_exit() : PyBool_FromLong(status == Status::ok);
    }
    // Python's signal handlers run on the process's main thread, which must look for them.
    const bool looks = gettid() == getpid();
    const auto outside = Ref<OutsideJoin>::share(handle.outside);
    for (;;) {
        const Instant until = looks ? std::min(deadline, monotonic_now() + std::chrono::milliseconds(50)) : deadline;
        bool done = false;
        Py_BEGIN_ALLOW_THREADS done = outside->wait(until);
        Py_END_ALLOW_THREADS if (looks && PyErr_CheckSignals() != 0) return nullptr;
        if (done || until == deadline) return PyBool_FromLong(done);
    }
}

// ring(eventfd): has it written at the actor's end; False when that was before. -1: not any more.
PyObject* outside_ring(PyObject* self, PyObject* eventfd) {
    const int fd = static_cast<int>(PyLong_AsLong(eventfd));
    if (fd == -1 && PyErr_Occurred()) return nullptr;
    return PyBool_FromLong(as_outside_handle(self).outside->ring(fd));
}

PyObject* outside_outcome(PyObject* self, PyObject*) {
    auto& handle = as_outside_handle(self);
    if (!handle.outside->done()) return PyErr_Format(PyExc_RuntimeError, "the actor has not ended");
    if (handle.outside->orphaned())
        return raise_error("NoRuntime", "the runtime has ended without the actor, which it gave up");
    return outcome_to_python(*handle.join, handle.pid);
}

PyObject* outside_done(PyObject* self, void*) { return PyBool_FromLong(as_outside_handle(self).outside->done()); }
PyObject* outside_pid(PyObject* self, void*) { return make_pid(as_outside_handle(self).pid); }

PyObject* outside_reduce(PyObject*, PyObject*) {
    return raise_error("NotSendable", "what a portal spawned is waited for where it was spawned: send task.pid");
}

PyMethodDef outside_methods[] = {
    {"wait", outside_wait, METH_O, nullptr},
    {"ring", outside_ring, METH_O, nullptr},
    {"outcome", outside_outcome, METH_NOARGS, nullptr},
    {"__reduce__", outside_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef outside_attributes[] = {
    {"pid", outside_pid, nullptr, nullptr, nullptr},
    {"done", outside_done, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyType_Slot outside_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(outside_dealloc)},
    {Py_tp_methods, outside_methods},
    {Py_tp_getset, outside_attributes},
    {0, nullptr},
};

PyType_Spec outside_spec = {"smarm._OutsideHandle", sizeof(OutsideHandleObject), 0,
                            Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
                            outside_slots};

// ---- functions ------------------------------------------------------------------------------------------------------

PyObject* portal_run(PyObject*, PyObject*) {
    const RuntimeVisit visit(0);
    return PyLong_FromUnsignedLongLong(visit.run());
}

bool read_run(PyObject* number, std::uint64_t& run) {
    run = PyLong_AsUnsignedLongLong(number);
    return run != static_cast<std::uint64_t>(-1) || !PyErr_Occurred();
}

// _portal_send(run, address, message)
PyObject* portal_send(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    std::uint64_t run = 0;
    if (count != 3) return PyErr_Format(PyExc_TypeError, "_portal_send() takes 3 arguments");
    if (!read_run(arguments[0], run)) return nullptr;
    InterpreterState& state = *interpreter_state();
    OwnedParcel parcel = state.codec->encode(arguments[2], "message");
    if (!parcel) return nullptr;
    const RuntimeVisit visit(run);
    Pid pid;
    if (!visit || !read_address(state, visit->scheduler(), arguments[1], pid)) {
        parcel->give_back();
        return visit ? nullptr : raise_not_there(run);
    }
    const Sent sent = visit->scheduler().send(pid, parcel);
    if (sent == Sent::full) {
        raise_mailbox_full(visit->scheduler(), pid, parcel->bytes());
        parcel->give_back();
        return nullptr;
    }
    if (sent == Sent::nobody) visit->scheduler().count_dead_letters(pid, DeadLetter::nobody);
    Py_RETURN_NONE;
}

// _portal_kill(run, pid)
PyObject* portal_kill(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    std::uint64_t run = 0;
    if (count != 2 || !is_pid(*interpreter_state(), arguments[1]))
        return PyErr_Format(PyExc_TypeError, "_portal_kill() takes a run and a Pid");
    if (!read_run(arguments[0], run)) return nullptr;
    const RuntimeVisit visit(run);
    if (visit) cancel(visit->scheduler(), pid_value(arguments[1]), visit->scheduler().options().interrupt_after);
    Py_RETURN_NONE;
}

// The actor beside which another is to run: null for None. False with an exception set.
bool read_beside(std::uint64_t run, PyObject* address, Pid& beside) {
    if (address == Py_None) return true;
    const RuntimeVisit visit(run);
    if (visit) return read_address(*interpreter_state(), visit->scheduler(), address, beside);
    raise_not_there(run);
    return false;
}

// _portal_spawn(run, beside, function, *args, **options)
PyObject* portal_spawn(PyObject*, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    std::uint64_t run = 0;
    Pid beside, pid;
    if (count < 2) return PyErr_Format(PyExc_TypeError, "_portal_spawn() takes a run, an address and a function");
    if (!read_run(arguments[0], run) || !read_beside(run, arguments[1], beside)) return nullptr;
    try {
        auto join = make_shared_ref<JoinState>(true);
        auto outside = make_shared_ref<OutsideJoin>();
        join->observe(Ref<OutsideJoin>(outside), Pid{});
        if (!spawn_from_outside(run, beside, arguments + 2, count - 2, names, join, pid)) return nullptr;
        auto* self = PyObject_New(OutsideHandleObject, interpreter_state()->outside_handle_type);
        if (!self) return nullptr;
        self->join = join.release();
        self->outside = outside.release();
        self->pid = pid;
        return reinterpret_cast<PyObject*>(self);
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    }
}

}  // namespace

bool add_portal(PyObject* module, InterpreterState& state) {
    state.outside_handle_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&outside_spec));
    return state.outside_handle_type && PyModule_AddType(module, state.outside_handle_type) == 0;
}

PyMethodDef portal_functions[] = {
    {"_portal_run", portal_run, METH_NOARGS, nullptr},
    {"_portal_send", SMARM_POSITIONAL_METHOD(portal_send), nullptr},
    {"_portal_kill", SMARM_POSITIONAL_METHOD(portal_kill), nullptr},
    {"_portal_spawn", SMARM_FAST_METHOD(portal_spawn), nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace smarm::bind
