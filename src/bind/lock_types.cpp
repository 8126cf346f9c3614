#include "bind/lock_types.h"

#include <algorithm>

#include "bind/arguments.h"
#include "bind/raising.h"
#include "interp/method_table.h"
#include "smarm/actor/shield.h"
#include "smarm/interp/pid_type.h"
#include "smarm/interp/py_rider.h"
#include "smarm/interp/requested_exception.h"

namespace smarm::bind {

PyObject* raise_poisoned(Mutex& mutex) {
    PyObject* type = error_type("LockPoisoned");
    PyObject* pid = type ? make_pid(mutex.sealed_by()) : nullptr;
    PyObject* error = pid ? PyObject_CallOneArg(type, pid) : nullptr;
    if (error) PyErr_SetObject(type, error);
    Py_XDECREF(error);
    Py_XDECREF(pid);
    Py_XDECREF(type);
    return nullptr;
}

bool require_holder(Mutex& mutex, const Worker& worker, const char* action) {
    const Pid holder = mutex.holder();
    if (holder == worker.current()->pid) return true;
    if (holder)
        PyErr_Format(PyExc_RuntimeError, "only its holder can %s a Mutex: actor <pid %u.%u> holds it", action,
                     holder.index, holder.generation);
    else PyErr_Format(PyExc_RuntimeError, "only its holder can %s a Mutex: nobody holds it", action);
    return false;
}

namespace {

PyObject* pid_or_none(Pid pid) { return pid ? make_pid(pid) : Py_NewRef(Py_None); }

// ---- acquiring and releasing, for the methods and for Hold ----------------------------------------------------------

// Waits by `acquire(deadline)`; while the actor is unwound by an exit or the end of a scope only what is urgent cuts it
// short.
template <class Acquire>
Status acquire_shielded(Worker& worker, Instant deadline, Acquire acquire) {
    if (!is_unwinding(*worker.current())) return acquire(deadline);
    const Instant until = unwinds_until(*worker.current());
    Status status;
    {
        PatientShield shield(*worker.current());
        status = acquire(std::min(deadline, until));
    }
    return status == Status::timed_out && until < deadline ? acquire(deadline) : status;
}

bool acquire_mutex(Mutex& mutex, Worker& worker, Instant deadline, bool repair) {
    if (mutex.holder() == worker.current()->pid) {
        PyErr_SetString(PyExc_RuntimeError, "this actor holds the Mutex already: it is not recursive");
        return false;
    }
    const Status status =
        acquire_shielded(worker, deadline, [&](Instant until) { return mutex.acquire(until, repair); });
    if (status == Status::ok) return true;
    if (status == Status::closed) raise_poisoned(mutex);
    else if (status == Status::timed_out) raise_error("LockTimeout", "the Mutex was not free before the timeout");
    else raise_status(status, "", "");
    return false;
}

bool acquire_permit(Semaphore& semaphore, Worker& worker, Instant deadline) {
    const Status status = acquire_shielded(worker, deadline, [&](Instant until) { return semaphore.acquire(until); });
    if (status == Status::ok) return true;
    if (status == Status::timed_out) raise_error("LockTimeout", "the Semaphore had no permit before the timeout");
    else raise_status(status, "", "");
    return false;
}

bool release_permit(Semaphore& semaphore) {
    if (semaphore.release()) return true;
    PyErr_SetString(PyExc_RuntimeError, "this actor has no permit of the Semaphore");
    return false;
}

// ---- Hold: the context manager --------------------------------------------------------------------------------------

struct HoldObject {
    PyObject_HEAD PyObject* target;  // a Mutex or a Semaphore
    PyObject* timeout;               // as given: counts from __enter__
    bool repair;
};

HoldObject& as_hold(PyObject* self) { return *reinterpret_cast<HoldObject*>(self); }

// hold(timeout) and repair(timeout) of both types.
PyObject* make_hold(PyObject* target, const char* function, bool repair, PyObject* const* arguments, Py_ssize_t count,
                    PyObject* names) {
    Instant deadline;
    if (!require_wait(function, arguments, count, names, 0, deadline, Point::lock)) return nullptr;
    auto* self = PyObject_New(HoldObject, native_type(*interpreter_state(), NativeTypeIndex::hold));
    if (!self) return nullptr;
    self->target = Py_NewRef(target);
    self->timeout = Py_NewRef(arguments[0]);
    self->repair = repair;
    return reinterpret_cast<PyObject*>(self);
}

void hold_dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    Py_DECREF(as_hold(self).target);
    Py_DECREF(as_hold(self).timeout);
    type->tp_free(self);
    Py_DECREF(type);
}

PyObject* hold_enter(PyObject* self, PyObject*) {
    const HoldObject& hold = as_hold(self);
    Worker* worker = enter_wait("hold", Point::lock);
    Instant deadline;
    if (!worker || !read_timeout(hold.timeout, *worker, deadline)) return nullptr;
    const bool acquired = is_native<Mutex>(hold.target)
                              ? acquire_mutex(native_of<Mutex>(hold.target), *worker, deadline, hold.repair)
                              : acquire_permit(native_of<Semaphore>(hold.target), *worker, deadline);
    return acquired ? Py_NewRef(Py_None) : nullptr;
}

// Whether the exception ends the block's actor from outside, in the middle of the block: ActorExit, KeyboardInterrupt,
// SystemExit. An Exception is the block's own affair, and an actor goes on after GeneratorExit and Cancelled.
bool ends_actor(PyObject* type) {
    if (type == Py_None || PyErr_GivenExceptionMatches(type, PyExc_Exception) ||
        PyErr_GivenExceptionMatches(type, PyExc_GeneratorExit))
        return false;
    PyObject* cancelled = error_type("Cancelled");
    if (!cancelled) drop_exception();
    const bool goes_on = cancelled && PyErr_GivenExceptionMatches(type, cancelled);
    Py_XDECREF(cancelled);
    return !goes_on;
}

PyObject* hold_exit(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
    const HoldObject& hold = as_hold(self);
    Worker* worker = require_actor("hold");
    if (!worker) return nullptr;
    PyObject* error = count > 0 ? arguments[0] : Py_None;
    if (!is_native<Mutex>(hold.target)) {
        if (!native_of<Semaphore>(hold.target).release() && error == Py_None)
            return release_permit(native_of<Semaphore>(hold.target)), nullptr;
        Py_RETURN_FALSE;
    }
    Mutex& mutex = native_of<Mutex>(hold.target);
    Mutex::Seal seal = Mutex::Seal::keep;
    if (ends_actor(error)) seal = Mutex::Seal::put;
    else if (hold.repair && error == Py_None) seal = Mutex::Seal::remove;
    // Lost inside the block (Condition.wait found it poisoned): the exception on its way says so.
    if (!mutex.release(seal) && error == Py_None) return require_holder(mutex, *worker, "release"), nullptr;
    Py_RETURN_FALSE;
}

PyMethodDef hold_methods[] = {
    {"__enter__", hold_enter, METH_NOARGS, nullptr},
    {"__exit__", SMARM_POSITIONAL_METHOD(hold_exit), nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot hold_slots[] = {
    {Py_tp_doc, const_cast<char*>("What hold() and repair() return, for one `with` at a time.")},
    {Py_tp_dealloc, reinterpret_cast<void*>(hold_dealloc)},
    {Py_tp_methods, hold_methods},
    {0, nullptr},
};

PyType_Spec hold_spec = {"smarm._core.Hold", sizeof(HoldObject), 0,
                         Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE, hold_slots};

// ---- Mutex ----------------------------------------------------------------------------------------------------------

PyObject* mutex_acquire(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    Instant deadline;
    Worker* worker = require_wait("Mutex.acquire", arguments, count, names, 0, deadline, Point::lock);
    if (!worker || !acquire_mutex(native_of<Mutex>(self), *worker, deadline, false)) return nullptr;
    Py_RETURN_NONE;
}

PyObject* mutex_release(PyObject* self, PyObject*) {
    Worker* worker = require_actor("Mutex.release");
    Mutex& mutex = native_of<Mutex>(self);
    if (!worker || !require_holder(mutex, *worker, "release")) return nullptr;
    mutex.release();
    Py_RETURN_NONE;
}

PyObject* mutex_hold(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    return make_hold(self, "Mutex.hold", false, arguments, count, names);
}

PyObject* mutex_repair(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    return make_hold(self, "Mutex.repair", true, arguments, count, names);
}

PyObject* mutex_holder(PyObject* self, void*) { return pid_or_none(native_of<Mutex>(self).holder()); }
PyObject* mutex_poisoned(PyObject* self, void*) { return pid_or_none(native_of<Mutex>(self).sealed_by()); }

// `with mutex:` would wait without a limit.
PyObject* refuse_with(PyObject* self, PyObject*) {
    PyErr_Format(PyExc_TypeError, "a %s is held with a timeout: `with it.hold(timeout=1.0):`", Py_TYPE(self)->tp_name);
    return nullptr;
}

PyObject* do_nothing(PyObject*, PyObject* const*, Py_ssize_t) { Py_RETURN_NONE; }

PyObject* mutex_repr(PyObject* self) {
    Mutex& mutex = native_of<Mutex>(self);
    if (const Pid holder = mutex.holder())
        return PyUnicode_FromFormat("<smarm.Mutex, held by <pid %u.%u>>", holder.index, holder.generation);
    if (const Pid by = mutex.sealed_by())
        return PyUnicode_FromFormat("<smarm.Mutex, poisoned by <pid %u.%u>>", by.index, by.generation);
    return PyUnicode_FromString("<smarm.Mutex, free>");
}

PyObject* semaphore_repr(PyObject* self) {
    return PyUnicode_FromFormat("<smarm.Semaphore, %zu available>", native_of<Semaphore>(self).available());
}

PyMethodDef mutex_methods[] = {
    {"__enter__", refuse_with, METH_NOARGS, nullptr},
    {"__exit__", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(do_nothing)), METH_FASTCALL, nullptr},
    {"acquire", SMARM_FAST_METHOD(mutex_acquire),
     "acquire($self, /, timeout)\n--\n\nTake the lock; park the actor until it is free, for at most timeout "
     "seconds.\n\nRaises LockTimeout, "
     "LockPoisoned when a holder ended without releasing it (the caller then does not hold it),\nRuntimeError when the "
     "caller holds it."},
    {"release", mutex_release, METH_NOARGS,
     "release($self, /)\n--\n\nGive the lock to the actor that has waited longest.  Raises RuntimeError unless the "
     "caller holds it."},
    {"hold", SMARM_FAST_METHOD(mutex_hold),
     "hold($self, /, timeout)\n--\n\nReturn a context manager that holds the lock: `with mutex.hold(1.0):`.\n\nA block "
     "that ActorExit ends "
     "leaves the lock poisoned; an exception of the block's own does not."},
    {"repair", SMARM_FAST_METHOD(mutex_repair),
     "repair($self, /, timeout)\n--\n\nReturn a context manager that takes the lock even when it is poisoned.\n\nThe "
     "poison is gone when the "
     "block ends without an exception: put right in it what the lock protects."},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef mutex_attributes[] = {
    {"holder", mutex_holder, nullptr, "The Pid of the actor that holds the lock, or None; true for this moment only.",
     nullptr},
    {"poisoned", mutex_poisoned, nullptr, "The Pid of the actor that ended while it held the lock, or None.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyType_Slot mutex_slots[] = {
    {Py_tp_doc,
     const_cast<char*>(
         "Mutex()\n--\n\nA lock that one actor at a time can hold, first come, first served.  Sendable: the actors "
         "that "
         "get it share it.\n\nWhen its holder ends without releasing it, the lock is poisoned: acquire raises "
         "LockPoisoned until somebody repairs\nwhat it protects, see repair.")},
    SMARM_NATIVE_SLOTS(Mutex),
    {Py_tp_new, reinterpret_cast<void*>(new_without_arguments<Mutex>)},
    {Py_tp_repr, reinterpret_cast<void*>(mutex_repr)},
    {Py_tp_methods, mutex_methods},
    {Py_tp_getset, mutex_attributes},
    {0, nullptr},
};

PyType_Spec mutex_spec = {"smarm.Mutex", sizeof(NativeObject<Mutex>), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
                          mutex_slots};

// ---- Semaphore ------------------------------------------------------------------------------------------------------

PyObject* semaphore_acquire(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    Instant deadline;
    if (!require_wait("Semaphore.acquire", arguments, count, names, 0, deadline, Point::lock) ||
        !acquire_permit(native_of<Semaphore>(self), *this_worker(), deadline))
        return nullptr;
    Py_RETURN_NONE;
}

PyObject* semaphore_release(PyObject* self, PyObject*) {
    if (!require_actor("Semaphore.release") || !release_permit(native_of<Semaphore>(self))) return nullptr;
    Py_RETURN_NONE;
}

PyObject* semaphore_hold(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    return make_hold(self, "Semaphore.hold", false, arguments, count, names);
}

PyObject* semaphore_available(PyObject* self, void*) {
    return PyLong_FromSize_t(native_of<Semaphore>(self).available());
}

PyMethodDef semaphore_methods[] = {
    {"__enter__", refuse_with, METH_NOARGS, nullptr},
    {"__exit__", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(do_nothing)), METH_FASTCALL, nullptr},
    {"acquire", SMARM_FAST_METHOD(semaphore_acquire),
     "acquire($self, /, timeout)\n--\n\nTake a permit; park the actor until there is one, for at most timeout seconds. "
     " Raises LockTimeout."},
    {"release", semaphore_release, METH_NOARGS,
     "release($self, /)\n--\n\nGive a permit back, to the actor that has waited longest.  Raises RuntimeError when the "
     "caller has none."},
    {"hold", SMARM_FAST_METHOD(semaphore_hold),
     "hold($self, /, timeout)\n--\n\nReturn a context manager that holds a permit: `with semaphore.hold(1.0):`."},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef semaphore_attributes[] = {
    {"available", semaphore_available, nullptr, "How many permits nobody has; true for this moment only.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyType_Slot semaphore_slots[] = {
    {Py_tp_doc,
     const_cast<char*>("Semaphore(permits)\n--\n\nAt most `permits` actors at a time, first come, first served.  "
                       "Sendable.\n\nA permit "
                       "belongs to the actor that took it: only it can release it, and its end gives it back.")},
    SMARM_NATIVE_SLOTS(Semaphore),
    {Py_tp_new, reinterpret_cast<void*>(new_with_count<Semaphore>)},
    {Py_tp_repr, reinterpret_cast<void*>(semaphore_repr)},
    {Py_tp_methods, semaphore_methods},
    {Py_tp_getset, semaphore_attributes},
    {0, nullptr},
};

PyType_Spec semaphore_spec = {"smarm.Semaphore", sizeof(NativeObject<Semaphore>), 0,
                              Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, semaphore_slots};

}  // namespace

bool add_lock_types(PyObject* module, InterpreterState& state) {
    PyTypeObject*& hold = native_type(state, NativeTypeIndex::hold);
    hold = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&hold_spec));
    return hold && add_sendable_type<Mutex>(module, state, mutex_spec) &&
           add_sendable_type<Semaphore>(module, state, semaphore_spec);
}

}  // namespace smarm::bind
