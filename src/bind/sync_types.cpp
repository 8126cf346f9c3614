#include "bind/sync_types.h"

#include "bind/arguments.h"
#include "bind/lock_types.h"
#include "bind/raising.h"
#include "smarm/interp/py_rider.h"
#include "smarm/wait/barrier.h"
#include "smarm/wait/condition.h"
#include "smarm/wait/event.h"
#include "smarm/wait/mutex.h"

namespace smarm::bind {

template <>
struct TypeOf<Event> {
    static constexpr auto index = NativeTypeIndex::event;
    static constexpr NativeId codec_id = NativeId::event;
};
template <>
struct TypeOf<Condition> {
    static constexpr auto index = NativeTypeIndex::condition;
    static constexpr NativeId codec_id = NativeId::condition;
};
template <>
struct TypeOf<Barrier> {
    static constexpr auto index = NativeTypeIndex::barrier;
    static constexpr NativeId codec_id = NativeId::barrier;
    static constexpr const char* count_name = "parties";
    static constexpr const char* count_format = "n:Barrier";
};
template <>
struct TypeOf<Once> {
    static constexpr auto index = NativeTypeIndex::once;
    static constexpr NativeId codec_id = NativeId::once;
};

namespace {

// ---- Event ----------------------------------------------------------------------------------------------------------

PyObject* event_wait(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    Instant deadline;
    if (!require_wait("Event.wait", arguments, count, names, 0, deadline)) return nullptr;
    const Status status = native_of<Event>(self).wait_set(deadline);
    if (status != Status::ok) return raise_status(status, "the Event was not set before the timeout", "");
    Py_RETURN_NONE;
}

PyObject* event_set(PyObject* self, PyObject*) {
    if (!require_actor("Event.set")) return nullptr;
    native_of<Event>(self).set();
    Py_RETURN_NONE;
}

PyObject* event_clear(PyObject* self, PyObject*) {
    native_of<Event>(self).clear();
    Py_RETURN_NONE;
}

PyObject* event_is_set(PyObject* self, PyObject*) { return PyBool_FromLong(native_of<Event>(self).is_set()); }

PyObject* event_repr(PyObject* self) {
    return PyUnicode_FromFormat("<smarm.Event, %s>", native_of<Event>(self).is_set() ? "set" : "not set");
}

PyMethodDef event_methods[] = {
    {"wait", SMARM_FAST_METHOD(event_wait),
     "wait($self, /, timeout)\n--\n\nPark the actor until the event is set, for at most timeout seconds; not at all "
     "while it is set.  Raises "
     "Timeout."},
    {"set", event_set, METH_NOARGS, "set($self, /)\n--\n\nWake everybody who waits, and let everybody who comes pass."},
    {"clear", event_clear, METH_NOARGS, "clear($self, /)\n--\n\nMake those who come wait again."},
    {"is_set", event_is_set, METH_NOARGS, "is_set($self, /)\n--\n\nReturn whether the event is set."},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot event_slots[] = {
    {Py_tp_doc, const_cast<char*>("Event()\n--\n\nA flag that actors wait for.  Sendable.")},
    SMARM_NATIVE_SLOTS(Event),
    {Py_tp_new, reinterpret_cast<void*>(new_without_arguments<Event>)},
    {Py_tp_repr, reinterpret_cast<void*>(event_repr)},
    {Py_tp_methods, event_methods},
    {0, nullptr},
};

PyType_Spec event_spec = {"smarm.Event", sizeof(NativeObject<Event>), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
                          event_slots};

// ---- Condition ------------------------------------------------------------------------------------------------------

PyObject* condition_new(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
    static const char* names[] = {"mutex", nullptr};
    PyObject* mutex = nullptr;
    PyTypeObject* mutex_type = native_type(*interpreter_state(), NativeTypeIndex::mutex);
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O!:Condition", const_cast<char**>(names), mutex_type,
                                     &mutex))
        return nullptr;
    return make_native<Condition>(type, Ref<Mutex>::share(&native_of<Mutex>(mutex)));
}

// One wait. False with an exception set.
bool await_notification(Condition& condition, Worker& worker, Instant deadline) {
    if (!require_holder(condition.mutex(), worker, "wait with the Condition of")) return false;
    const Status status = condition.wait_notified(deadline);
    if (status == Status::ok) return true;
    if (status == Status::closed) raise_poisoned(condition.mutex());
    else raise_status(status, "the Condition was not notified before the timeout", "");
    return false;
}

PyObject* condition_wait(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    Instant deadline;
    Worker* worker = require_wait("Condition.wait", arguments, count, names, 0, deadline);
    if (!worker || !await_notification(native_of<Condition>(self), *worker, deadline)) return nullptr;
    Py_RETURN_NONE;
}

PyObject* condition_wait_for(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    Instant deadline;
    Worker* worker = require_wait("Condition.wait_for", arguments, count, names, 1, deadline);
    Condition& condition = native_of<Condition>(self);
    if (!worker || !require_holder(condition.mutex(), *worker, "wait with the Condition of")) return nullptr;
    for (;;) {
        PyObject* answer = PyObject_CallNoArgs(arguments[0]);
        const int holds = answer ? PyObject_IsTrue(answer) : -1;
        if (holds > 0) return answer;
        Py_XDECREF(answer);
        if (holds < 0 || !await_notification(condition, *worker, deadline)) return nullptr;
    }
}

PyObject* notify_waiters(PyObject* self, std::size_t count) {
    Worker* worker = require_actor("Condition.notify");
    Condition& condition = native_of<Condition>(self);
    if (!worker || !require_holder(condition.mutex(), *worker, "notify the Condition of")) return nullptr;
    condition.notify(count);
    Py_RETURN_NONE;
}

PyObject* condition_notify(PyObject* self, PyObject* arguments) {
    Py_ssize_t count = 1;
    if (!PyArg_ParseTuple(arguments, "|n:notify", &count)) return nullptr;
    if (count < 0) return PyErr_Format(PyExc_ValueError, "notify() takes a number of actors, not %zd", count);
    return notify_waiters(self, static_cast<std::size_t>(count));
}

PyObject* condition_notify_all(PyObject* self, PyObject*) { return notify_waiters(self, SIZE_MAX); }

PyObject* condition_mutex(PyObject* self, void*) {
    return wrap_native(native_type(*interpreter_state(), NativeTypeIndex::mutex),
                       Ref<Mutex>::share(&native_of<Condition>(self).mutex()));
}

PyObject* condition_repr(PyObject* self) {
    const Pid holder = native_of<Condition>(self).mutex().holder();
    if (!holder) return PyUnicode_FromString("<smarm.Condition of a free Mutex>");
    return PyUnicode_FromFormat("<smarm.Condition of a Mutex held by <pid %u.%u>>", holder.index, holder.generation);
}

PyMethodDef condition_methods[] = {
    {"wait", SMARM_FAST_METHOD(condition_wait),
     "wait($self, /, timeout)\n--\n\nRelease the mutex, park until notified, and take the mutex again, however long "
     "that takes.\n\nThe caller "
     "must hold the mutex, and holds it again also when this raises Timeout or ActorExit; not when it "
     "raises\nLockPoisoned.  Look at what "
     "you wait for again afterwards, or use wait_for.  RuntimeError without the mutex."},
    {"wait_for", SMARM_FAST_METHOD(condition_wait_for),
     "wait_for($self, predicate, /, timeout)\n--\n\nWait until predicate() is true, and return its value.  Raises as "
     "wait; timeout is for all of "
     "it."},
    {"notify", condition_notify, METH_VARARGS,
     "notify($self, n=1, /)\n--\n\nWake the n actors that have waited longest.  RuntimeError unless the caller holds "
     "the mutex."},
    {"notify_all", condition_notify_all, METH_NOARGS,
     "notify_all($self, /)\n--\n\nWake everybody who waits.  Raises as notify."},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef condition_attributes[] = {
    {"mutex", condition_mutex, nullptr, "The Mutex given to the constructor (one that is equal to it).", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyType_Slot condition_slots[] = {
    {Py_tp_doc,
     const_cast<char*>(
         "Condition(mutex)\n--\n\nActors that hold a Mutex wait until another tells them that something under it has "
         "changed.  Sendable, with the mutex.")},
    SMARM_NATIVE_SLOTS(Condition),
    {Py_tp_new, reinterpret_cast<void*>(condition_new)},
    {Py_tp_repr, reinterpret_cast<void*>(condition_repr)},
    {Py_tp_methods, condition_methods},
    {Py_tp_getset, condition_attributes},
    {0, nullptr},
};

PyType_Spec condition_spec = {"smarm.Condition", sizeof(NativeObject<Condition>), 0,
                              Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, condition_slots};

// ---- Barrier --------------------------------------------------------------------------------------------------------

PyObject* barrier_wait(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    Instant deadline;
    if (!require_wait("Barrier.wait", arguments, count, names, 0, deadline)) return nullptr;
    bool last = false;
    const Status status = native_of<Barrier>(self).wait_all(deadline, &last);
    if (status != Status::ok)
        return raise_status(status, "the others did not come to the Barrier before the timeout", "");
    return PyBool_FromLong(last);
}

PyObject* barrier_parties(PyObject* self, void*) { return PyLong_FromSize_t(native_of<Barrier>(self).parties()); }
PyObject* barrier_waiting(PyObject* self, void*) { return PyLong_FromSize_t(native_of<Barrier>(self).waiting()); }

PyObject* barrier_repr(PyObject* self) {
    Barrier& barrier = native_of<Barrier>(self);
    return PyUnicode_FromFormat("<smarm.Barrier, %zu of %zu wait>", barrier.waiting(), barrier.parties());
}

PyMethodDef barrier_methods[] = {
    {"wait", SMARM_FAST_METHOD(barrier_wait),
     "wait($self, /, timeout)\n--\n\nPark until `parties` actors wait; return True in the one that came last, False in "
     "the others.\n\nOne that "
     "gives up (Timeout, its end) is not counted any more; the others go on waiting."},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef barrier_attributes[] = {
    {"parties", barrier_parties, nullptr, "How many actors it takes.", nullptr},
    {"waiting", barrier_waiting, nullptr, "How many wait; true for this moment only.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyType_Slot barrier_slots[] = {
    {Py_tp_doc,
     const_cast<char*>("Barrier(parties)\n--\n\nWhere actors wait for each other, round after round.  Sendable.")},
    SMARM_NATIVE_SLOTS(Barrier),
    {Py_tp_new, reinterpret_cast<void*>(new_with_count<Barrier>)},
    {Py_tp_repr, reinterpret_cast<void*>(barrier_repr)},
    {Py_tp_methods, barrier_methods},
    {Py_tp_getset, barrier_attributes},
    {0, nullptr},
};

PyType_Spec barrier_spec = {"smarm.Barrier", sizeof(NativeObject<Barrier>), 0,
                            Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, barrier_slots};

// ---- Once -----------------------------------------------------------------------------------------------------------

PyObject* once_run(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    Instant deadline;
    Worker* worker = require_wait("Once.run", arguments, count, names, 1, deadline);
    if (!worker) return nullptr;
    Once& once = native_of<Once>(self);
    if (once.holder() == worker->current()->pid) {
        PyErr_SetString(PyExc_RuntimeError, "this actor is running the function of this Once already");
        return nullptr;
    }
    const Status status = once.acquire(deadline);
    if (status == Status::closed) Py_RETURN_FALSE;
    if (status != Status::ok)
        return raise_status(status, "another actor did not get the work done before the timeout", "");
    PyObject* result = PyObject_CallNoArgs(arguments[0]);
    once.release(result ? Once::Seal::put : Once::Seal::keep);
    if (!result) return nullptr;
    Py_DECREF(result);
    Py_RETURN_TRUE;
}

PyObject* once_done(PyObject* self, void*) {
    return PyBool_FromLong(static_cast<bool>(native_of<Once>(self).sealed_by()));
}

PyObject* once_repr(PyObject* self) {
    return PyUnicode_FromFormat("<smarm.Once, %s>",
                                static_cast<bool>(native_of<Once>(self).sealed_by()) ? "done" : "not done");
}

PyMethodDef once_methods[] = {
    {"run", SMARM_FAST_METHOD(once_run),
     "run($self, function, /, timeout)\n--\n\nCall function() unless that has been done; while another actor is at it, "
     "wait for at most timeout "
     "seconds.\n\nReturns True when this call did it, False when it had been done.  When the function raises, or its "
     "actor ends,\nthe next "
     "caller does it.  Raises Timeout and what function raises."},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef once_attributes[] = {
    {"done", once_done, nullptr, "Whether the function has been run to its end.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyType_Slot once_slots[] = {
    {Py_tp_doc, const_cast<char*>("Once()\n--\n\nWork that is to be done once, by whoever comes first.  Sendable.")},
    SMARM_NATIVE_SLOTS(Once),
    {Py_tp_new, reinterpret_cast<void*>(new_without_arguments<Once>)},
    {Py_tp_repr, reinterpret_cast<void*>(once_repr)},
    {Py_tp_methods, once_methods},
    {Py_tp_getset, once_attributes},
    {0, nullptr},
};

PyType_Spec once_spec = {"smarm.Once", sizeof(NativeObject<Once>), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
                         once_slots};

}  // namespace

bool add_sync_types(PyObject* module, InterpreterState& state) {
    return add_lock_types(module, state) && add_sendable_type<Event>(module, state, event_spec) &&
           add_sendable_type<Condition>(module, state, condition_spec) &&
           add_sendable_type<Barrier>(module, state, barrier_spec) && add_sendable_type<Once>(module, state, once_spec);
}

}  // namespace smarm::bind
