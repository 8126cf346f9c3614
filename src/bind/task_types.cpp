#include "bind/task_types.h"

#include <new>

#include "bind/arguments.h"
#include "bind/join_handle.h"
#include "bind/native_object.h"
#include "bind/raising.h"
#include "bind/spawn.h"
#include "smarm/actor/shield.h"
#include "smarm/interp/errors.h"
#include "smarm/interp/generator_block.h"
#include "smarm/interp/imports.h"
#include "smarm/interp/pid_type.h"
#include "smarm/interp/point.h"
#include "smarm/interp/py_rider.h"
#include "smarm/interp/requested_exception.h"
#include "smarm/sched/scheduler.h"
#include "smarm/sched/signals.h"
#include "smarm/wait/task_group.h"

namespace smarm::bind {
namespace {

// Whether `error`, which leaves a block, is the Cancelled of scope `id`, or a group of such, and ends here. `handled`:
// what was when the block began. -1 with an exception set.
int is_cancelled_by(PyObject* error, std::uint64_t id, const void* handled) {
    if (error == Py_None) return 0;
    PyObject* type = error_type("Cancelled");
    if (!type) return -1;
    const auto is_of_scope = [type, id](PyObject* leaf) {
        return PyErr_GivenExceptionMatches(leaf, type) && cancelled_scope(leaf) == id;
    };
    PyObject* found = find_in_groups(error, is_of_scope);
    Py_DECREF(type);
    if (found) arm_overtaken(found, handled);
    return found != nullptr;
}

// ---- timeout --------------------------------------------------------------------------------------------------------

struct TimeoutObject {
    PyObject_HEAD PyObject* seconds;
    Instant deadline;
    Duration patience;
    GeneratorBlock block;
    CancelScope scope;
    const void* handled;  // when the block began
};

TimeoutObject& as_timeout(PyObject* self) { return *reinterpret_cast<TimeoutObject*>(self); }

PyObject* timeout_new(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
    static const char* names[] = {"seconds", "interrupt_after", nullptr};
    PyObject* seconds = nullptr;
    PyObject* interrupt_after = nullptr;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O|$O:timeout", const_cast<char**>(names), &seconds,
                                     &interrupt_after))
        return nullptr;
    Worker* worker = require_actor("timeout");
    Instant deadline;
    Duration patience{};
    if (!worker || !read_timeout(seconds, *worker, deadline) ||
        !read_interrupt_after(interrupt_after, *worker, patience))
        return nullptr;
    auto* self = PyObject_New(TimeoutObject, type);
    if (!self) return nullptr;
    self->seconds = Py_NewRef(seconds);
    self->deadline = kNever;
    self->patience = patience;
    new (&self->block) GeneratorBlock;
    new (&self->scope) CancelScope;
    return reinterpret_cast<PyObject*>(self);
}

void timeout_dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    Py_DECREF(as_timeout(self).seconds);
    as_timeout(self).scope.close();  // entered by hand, and nobody is left who could leave it
    as_timeout(self).scope.~CancelScope();
    as_timeout(self).block.~GeneratorBlock();
    type->tp_free(self);
    Py_DECREF(type);
}

PyObject* timeout_enter(PyObject* self, PyObject*) {
    TimeoutObject& timeout = as_timeout(self);
    Worker* worker = require_actor("timeout");
    if (!worker) return nullptr;
    if (timeout.scope.is_open()) {
        PyErr_SetString(PyExc_RuntimeError, "this timeout is in use: make another for a block inside the block");
        return nullptr;
    }
    if (!read_timeout(timeout.seconds, *worker, timeout.deadline) || !timeout.block.enter()) return nullptr;
    timeout.handled = handled_exception();
    timeout.scope.open(timeout.deadline, timeout.patience, timeout.block.if_any());
    return Py_NewRef(self);
}

PyObject* timeout_exit(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
    TimeoutObject& timeout = as_timeout(self);
    timeout.scope.close();
    PyObject* error = count > 1 ? arguments[1] : Py_None;
    const int mine = is_cancelled_by(error, timeout.scope.id(), timeout.handled);
    if (mine < 0) return nullptr;
    if (!mine) Py_RETURN_FALSE;
    // What it overtook goes on, now that its clean-up was cut short.
    if (!pass_point(*this_actor())) return nullptr;
    raise_error("Timeout", "the block did not end within %S s", timeout.seconds);
    PyObject* raised = PyErr_GetRaisedException();
    PyException_SetCause(raised, Py_NewRef(error));  // its traceback says where the block was
    PyErr_SetRaisedException(raised);
    return nullptr;
}

PyObject* timeout_expired(PyObject* self, void*) { return PyBool_FromLong(as_timeout(self).scope.cut_short()); }

PyObject* timeout_left(PyObject* self, PyObject*) {
    const TimeoutObject& timeout = as_timeout(self);
    Worker* worker = require_actor("timeout.left");
    if (!worker) return nullptr;
    if (!timeout.scope.is_open()) Py_RETURN_NONE;
    if (timeout.deadline == kNever) return PyFloat_FromDouble(Py_HUGE_VAL);
    const double left = std::chrono::duration<double>(timeout.deadline - worker->driver().now()).count();
    return PyFloat_FromDouble(left > 0 ? left : 0);
}

PyObject* timeout_repr(PyObject* self) {
    const TimeoutObject& timeout = as_timeout(self);
    const char* state = timeout.scope.cut_short() ? "expired" : timeout.scope.is_open() ? "running" : "not running";
    return PyUnicode_FromFormat("<smarm.timeout of %R s, %s>", timeout.seconds, state);
}

PyMethodDef timeout_methods[] = {
    {"__enter__", timeout_enter, METH_NOARGS, nullptr},
    {"__exit__", SMARM_POSITIONAL_METHOD(timeout_exit), nullptr},
    {"left", timeout_left, METH_NOARGS,
     "left($self, /)\n--\n\nReturn the seconds until the deadline: 0 when it has passed, inf without one, None outside "
     "of the block."},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef timeout_attributes[] = {
    {"expired", timeout_expired, nullptr, "Whether the deadline passed while the block ran.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyType_Slot timeout_slots[] = {
    {Py_tp_doc,
     const_cast<char*>(
         "timeout(seconds, *, interrupt_after=...)\n--\n\n`with smarm.timeout(1.0):` ends the block when it has not "
         "ended by itself: raises "
         "Timeout.\n\nThe block is "
         "left at its next cancellation point by a Cancelled, which only this `with` turns into Timeout, so\nthat "
         "nothing "
         "inside takes it for its own timeout; a block that computes, interrupt_after seconds later (0: at once; None: "
         "never).\nOnce: what runs in `finally` may wait again.  Nests.  None: no "
         "deadline.  Raises ValueError for a negative number or NaN.")},
    {Py_tp_dealloc, reinterpret_cast<void*>(timeout_dealloc)},
    {Py_tp_new, reinterpret_cast<void*>(timeout_new)},
    {Py_tp_repr, reinterpret_cast<void*>(timeout_repr)},
    {Py_tp_methods, timeout_methods},
    {Py_tp_getset, timeout_attributes},
    {0, nullptr},
};

PyType_Spec timeout_spec = {"smarm.timeout", sizeof(TimeoutObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
                            timeout_slots};

// ---- TaskGroup ------------------------------------------------------------------------------------------------------

struct GroupObject {
    PyObject_HEAD TaskGroup* group;  // owned reference; nullptr outside of the block
    Duration patience;               // of the block and its children
    GeneratorBlock block;
    Worker* home;         // of the block
    const void* handled;  // when the block began
    PyObject* children;   // a list of JoinHandles: those alive, and those whose end was not a plain return
    Py_ssize_t prune_at;  // its length at which it is looked through
};

GroupObject& as_group(PyObject* self) { return *reinterpret_cast<GroupObject*>(self); }

void cancel_children(GroupObject& object) {
    object.group->mark_cancelled();
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(object.children); ++i) {
        PyObject* child = PyList_GET_ITEM(object.children, i);
        if (join_handle_state(child).kind() == OutcomeKind::running)
            cancel(object.home->scheduler(), join_handle_pid(child), object.patience);
    }
}

// A group that was entered by hand and dropped: its block is over, and nobody waits for its children.
void abandon(GroupObject& object) {
    PyObject* raised = PyErr_GetRaisedException();
    object.group->close_scope();
    if (object.group->running()) {
        cancel_children(object);
        if (PyErr_WarnEx(PyExc_ResourceWarning,
                         "a TaskGroup was dropped inside its block: its children are asked to exit, and not waited for",
                         1) != 0)
            PyErr_WriteUnraisable(nullptr);
    }
    object.group->drop_reference();
    PyErr_SetRaisedException(raised);
}

void group_dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    if (as_group(self).group) abandon(as_group(self));
    Py_XDECREF(as_group(self).children);
    as_group(self).block.~GeneratorBlock();
    type->tp_free(self);
    Py_DECREF(type);
}

PyObject* group_new(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
    static const char* names[] = {"interrupt_after", nullptr};
    PyObject* interrupt_after = nullptr;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "|$O:TaskGroup", const_cast<char**>(names), &interrupt_after))
        return nullptr;
    Worker* worker = require_actor("TaskGroup");
    Duration patience{};
    if (!worker || !read_interrupt_after(interrupt_after, *worker, patience)) return nullptr;
    auto* self = PyObject_New(GroupObject, type);
    if (!self) return nullptr;
    self->patience = patience;
    new (&self->block) GeneratorBlock;
    self->group = nullptr;
    self->home = nullptr;
    self->children = nullptr;
    self->prune_at = 0;
    return reinterpret_cast<PyObject*>(self);
}

PyObject* group_enter(PyObject* self, PyObject*) {
    GroupObject& object = as_group(self);
    Worker* worker = require_actor("TaskGroup");
    if (!worker) return nullptr;
    if (object.group) {
        PyErr_SetString(PyExc_RuntimeError, "this TaskGroup is in use: make another for a block inside the block");
        return nullptr;
    }
    if (!object.block.enter()) return nullptr;
    PyObject* children = PyList_New(0);
    auto* group = children ? new (std::nothrow) TaskGroup : nullptr;
    if (!group) {
        Py_XDECREF(children);
        return PyErr_NoMemory();
    }
    Py_XSETREF(object.children, children);
    object.prune_at = 64;
    object.group = group;
    object.home = worker;
    object.handled = handled_exception();
    group->open(object.patience, object.block.if_any());
    return Py_NewRef(self);
}

// Drops the handles of children that returned: a group may live long and have many. The others keep their order.
bool prune(GroupObject& object) {
    PyObject* kept = PyList_New(0);
    if (!kept) return false;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(object.children); ++i) {
        PyObject* child = PyList_GET_ITEM(object.children, i);
        if (join_handle_state(child).kind() == OutcomeKind::returned) continue;
        if (PyList_Append(kept, child) != 0) {
            Py_DECREF(kept);
            return false;
        }
    }
    object.prune_at = 2 * PyList_GET_SIZE(kept) + 64;
    Py_SETREF(object.children, kept);
    return true;
}

PyObject* group_spawn(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    GroupObject& object = as_group(self);
    Worker* worker = require_actor("TaskGroup.spawn");
    if (!worker) return nullptr;
    if (!object.group || object.home != worker || object.group->cancelled()) {
        PyErr_SetString(PyExc_RuntimeError,
                        object.group && object.home == worker
                            ? "the TaskGroup is being cancelled: it takes no more children"
                            : "TaskGroup.spawn() belongs inside `with smarm.TaskGroup() as group:`");
        return nullptr;
    }
    if (PyList_GET_SIZE(object.children) >= object.prune_at && !prune(object)) return nullptr;
    PyObject* handle = spawn(nullptr, arguments, count, names);
    if (!handle) return nullptr;
    // Encoding the arguments can run code that ends the block; the child must not be left alone then.
    const bool in_time = object.group && !object.group->cancelled();
    if (!in_time || PyList_Append(object.children, handle) != 0) {
        cancel(worker->scheduler(), join_handle_pid(handle), object.patience);
        Py_DECREF(handle);
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_RuntimeError, "the TaskGroup ended while it was given another child");
        return nullptr;
    }
    join_handle_state(handle).expect();  // the end of the block looks at it
    object.group->add(join_handle_pid(handle), join_handle_state(handle));
    return handle;
}

PyObject* group_cancel(PyObject* self, PyObject*) {
    GroupObject& object = as_group(self);
    if (!require_actor("TaskGroup.cancel")) return nullptr;
    if (object.group) cancel_children(object);
    Py_RETURN_NONE;
}

// Waits until no child is alive, and cancels them at the first failure or when the owner is asked to exit or to leave
// an enclosing block. Nothing cuts this wait short.
void wait_for_children(GroupObject& object, Actor& owner) {
    TaskGroup& group = *object.group;
    Shield shield(owner);
    std::uint32_t passed_on = 0;  // requests of the owner, which are its children's, too
    while (group.running()) {
        const std::uint32_t noted = owner.requests.noted();
        // Again at each new one: children that swallowed the first get another.
        const bool asked = is_asked(owner) && noted != passed_on;
        if (asked || (group.first_failure() && !group.cancelled())) cancel_children(object);
        passed_on = noted;
        group.wait_for_change();
    }
}

// Raises what the children left, together with the block's own error (None: it ended well or was cut short for them).
// Returns false with an exception set.
bool report_children(PyObject* children, Pid first_failure, PyObject* error) {
    PyObject* failure = first_failure ? make_pid(first_failure) : Py_NewRef(Py_None);
    PyObject* done = call_imported("smarm._tasks", "conclude", Py_BuildValue("(ONO)", children, failure, error));
    Py_XDECREF(done);
    return done != nullptr;
}

PyObject* group_exit(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
    GroupObject& object = as_group(self);
    Worker* worker = require_actor("TaskGroup");
    if (!worker) return nullptr;
    if (!object.group || object.home != worker) {
        PyErr_SetString(PyExc_RuntimeError, "the TaskGroup's block ended already");
        return nullptr;
    }
    PyObject* error = count > 1 ? arguments[1] : Py_None;
    object.group->close_scope();
    if (error != Py_None) cancel_children(object);
    wait_for_children(object, *worker->current());

    auto group = Ref<TaskGroup>::adopt(std::exchange(object.group, nullptr));
    PyObject* children = std::exchange(object.children, nullptr);
    const int cut_short = is_cancelled_by(error, group->scope_id(), object.handled);
    const bool unwinds = error != Py_None && !cut_short && !PyErr_GivenExceptionMatches(error, PyExc_Exception);
    PyObject* result = nullptr;
    if (cut_short < 0) {
    } else if (worker->at_safe_point(false, Deliver::everything)) {
        raise_exit();
    } else if (unwinds || report_children(children, group->first_failure(), cut_short ? Py_None : error)) {
        result = PyBool_FromLong(cut_short);
    }
    Py_DECREF(children);
    return result;
}

PyObject* group_repr(PyObject* self) {
    const GroupObject& object = as_group(self);
    if (!object.group) return PyUnicode_FromString("<smarm.TaskGroup, outside of its block>");
    std::size_t running = 0;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(object.children); ++i)
        running += join_handle_state(PyList_GET_ITEM(object.children, i)).kind() == OutcomeKind::running;
    return PyUnicode_FromFormat("<smarm.TaskGroup, %zu running%s>", running,
                                object.group->cancelled() ? ", cancelled" : "");
}

PyMethodDef group_methods[] = {
    {"__enter__", group_enter, METH_NOARGS, nullptr},
    {"__exit__", SMARM_POSITIONAL_METHOD(group_exit), nullptr},
    {"spawn", SMARM_FAST_METHOD(group_spawn),
     "spawn($self, function, /, *args, **options)\n--\n\nStart a child, as smarm.spawn does, and return its "
     "JoinHandle.\n\nRaises RuntimeError outside of "
     "the block and once the group is cancelled, else what smarm.spawn raises."},
    {"cancel", group_cancel, METH_NOARGS,
     "cancel($self, /)\n--\n\nAsk every child to exit; the group takes no more.  That they end is then no failure."},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot group_slots[] = {
    {Py_tp_doc,
     const_cast<char*>(
         "TaskGroup(*, interrupt_after=...)\n--\n\n`with smarm.TaskGroup() as group:` waits for every child that "
         "group.spawn started: none outlives the "
         "block.\n\nThe first child that fails, or is stopped by somebody else, cuts the "
         "block short and ends the others (ActorExit is "
         "raised in them);\nso does an exception of the block.  When all have ended, the "
         "errors are raised as an ExceptionGroup.  The exit "
         "of the\nowner, or of an enclosing block, ends the children first.")},
    {Py_tp_dealloc, reinterpret_cast<void*>(group_dealloc)},
    {Py_tp_new, reinterpret_cast<void*>(group_new)},
    {Py_tp_repr, reinterpret_cast<void*>(group_repr)},
    {Py_tp_methods, group_methods},
    {0, nullptr},
};

PyType_Spec group_spec = {"smarm.TaskGroup", sizeof(GroupObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
                          group_slots};

// ---- join_all -------------------------------------------------------------------------------------------------------

// _wait_all(handles, timeout): parks until the actors of all these JoinHandles (a tuple) have ended.
PyObject* wait_all(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    Worker* worker = enter_wait("join_all");
    if (!worker) return nullptr;
    if (count != 2 || !PyTuple_Check(arguments[0])) return PyErr_BadArgument(), nullptr;
    PyObject* handles = arguments[0];
    Instant deadline;
    if (!read_timeout(arguments[1], *worker, deadline)) return nullptr;
    const InterpreterState& state = *interpreter_state();
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(handles); ++i) {
        PyObject* handle = PyTuple_GET_ITEM(handles, i);
        if (!Py_IS_TYPE(handle, state.join_handle_type)) {
            PyErr_Format(PyExc_TypeError, "join_all() takes JoinHandles, not %.100s", Py_TYPE(handle)->tp_name);
            return nullptr;
        }
        if (join_handle_pid(handle) == worker->current()->pid) {
            PyErr_SetString(PyExc_RuntimeError, "an actor cannot join itself: it would wait for ever");
            return nullptr;
        }
    }
    const auto states = [handles](auto&& visit) {
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(handles); ++i)
            visit(join_handle_state(PyTuple_GET_ITEM(handles, i)));
    };
    states([](JoinState& state) { state.expect(); });
    Status status = Status::ok;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(handles) && status == Status::ok; ++i) {
        const Pid whom = join_handle_pid(PyTuple_GET_ITEM(handles, i));
        Awaits awaits(*worker->current(), whom);
        status = join_handle_state(PyTuple_GET_ITEM(handles, i)).join(deadline);
    }
    states([](JoinState& state) { state.expect_no_more(); });
    if (status != Status::ok) return raise_status(status, "not all actors ended before the timeout", "");
    Py_RETURN_NONE;
}

PyMethodDef task_functions[] = {
    {"_wait_all", SMARM_POSITIONAL_METHOD(wait_all), nullptr},
    {nullptr, nullptr, 0, nullptr},
};

bool add_type(PyObject* module, InterpreterState& state, NativeTypeIndex index, PyType_Spec& spec) {
    PyTypeObject*& type = native_type(state, index);
    type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
    return type && PyModule_AddType(module, type) == 0;
}

}  // namespace

bool add_task_types(PyObject* module, InterpreterState& state) {
    return add_type(module, state, NativeTypeIndex::timeout, timeout_spec) &&
           add_type(module, state, NativeTypeIndex::task_group, group_spec) &&
           PyModule_AddFunctions(module, task_functions) == 0;
}

}  // namespace smarm::bind
