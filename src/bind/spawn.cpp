#include "bind/spawn.h"

#include <new>
#include <optional>
#include <string>

#include "bind/arguments.h"
#include "bind/join_handle.h"
#include "bind/placement.h"
#include "interp/method_table.h"
#include "smarm/codec/codec.h"
#include "smarm/fiber/stack_pool.h"
#include "smarm/interp/errors.h"
#include "smarm/interp/imports.h"
#include "smarm/interp/py_actor.h"
#include "smarm/interp/py_rider.h"
#include "smarm/interp/spawn_site.h"
#include "smarm/runtime/portal.h"
#include "smarm/runtime/runtime.h"
#include "smarm/sched/signals.h"

namespace smarm::bind {
namespace {

struct Options {
    PyObject* on = Py_None;
    PyObject* name = Py_None;
    PyObject* stack_size = Py_None;
    PyObject* link = Py_False;
    PyObject* monitor = Py_False;
    PyObject* signal = Py_False;
    PyObject* time_limit = Py_None;
    PyObject* mailbox_limit = Py_None;
    PyObject* mailbox_byte_limit = Py_None;
    PyObject* on_full = nullptr;
};

bool read_options(PyObject* const* values, PyObject* names, Options& options) {
    const Py_ssize_t count = names ? PyTuple_GET_SIZE(names) : 0;
    for (Py_ssize_t i = 0; i < count; ++i) {
        PyObject* name = PyTuple_GET_ITEM(names, i);
        if (PyUnicode_EqualToUTF8(name, "on")) options.on = values[i];
        else if (PyUnicode_EqualToUTF8(name, "name")) options.name = values[i];
        else if (PyUnicode_EqualToUTF8(name, "stack_size")) options.stack_size = values[i];
        else if (PyUnicode_EqualToUTF8(name, "link")) options.link = values[i];
        else if (PyUnicode_EqualToUTF8(name, "monitor")) options.monitor = values[i];
        else if (PyUnicode_EqualToUTF8(name, "signal")) options.signal = values[i];
        else if (PyUnicode_EqualToUTF8(name, "time_limit")) options.time_limit = values[i];
        else if (PyUnicode_EqualToUTF8(name, "mailbox_limit")) options.mailbox_limit = values[i];
        else if (PyUnicode_EqualToUTF8(name, "mailbox_byte_limit")) options.mailbox_byte_limit = values[i];
        else if (PyUnicode_EqualToUTF8(name, "on_full")) options.on_full = values[i];
        else {
            PyErr_Format(PyExc_TypeError,
                         "spawn() got an unexpected keyword argument %R; the actor's own keyword arguments go in with "
                         "functools.partial or a lambda",
                         name);
            return false;
        }
    }
    return true;
}

bool read_stack_size(PyObject* wish, std::uint32_t& bytes) {
    if (wish == Py_None) return true;
    const Py_ssize_t number = PyNumber_AsSsize_t(wish, nullptr);
    if (number == -1 && PyErr_Occurred()) return false;
    if (number < static_cast<Py_ssize_t>(kMinStackBytes) || number > static_cast<Py_ssize_t>(kMaxStackBytes)) {
        raise_error("ConfigError", "stack_size must be from %zu to %zu bytes, not %R", kMinStackBytes, kMaxStackBytes,
                    wish);
        return false;
    }
    bytes = static_cast<std::uint32_t>(number);
    return true;
}

// What actors have that do not say.
struct MailboxDefaults {
    std::uint32_t most = 0;
    std::size_t most_bytes = 0;
};

MailboxDefaults mailbox_defaults(const RuntimeConfig& config) {
    return {config.mailbox_limit, config.mailbox_byte_limit};
}

// Leaves `number` as it is when there is no wish.
bool read_limit(PyObject* wish, const char* name, std::size_t most, const char* unit, std::size_t& number) {
    if (wish == Py_None) return true;
    const Py_ssize_t wished = PyNumber_AsSsize_t(wish, nullptr);
    if (wished == -1 && PyErr_Occurred()) return false;
    if (wished < 0 || static_cast<std::size_t>(wished) > most) {
        raise_error("ConfigError", "%s must be from 0 (none) to %zu %s, not %R", name, most, unit, wish);
        return false;
    }
    number = static_cast<std::size_t>(wished);
    return true;
}

// Reads the mailbox's limits and on_full.
bool read_mailbox_limit(const Options& options, MailboxDefaults defaults, std::unique_ptr<MailboxLimit>& limit) {
    std::size_t most = defaults.most;
    std::size_t most_bytes = defaults.most_bytes;
    if (!read_limit(options.mailbox_limit, "mailbox_limit", kMaxMailboxLimit, "messages", most) ||
        !read_limit(options.mailbox_byte_limit, "mailbox_byte_limit", kMaxMailboxByteLimit, "bytes", most_bytes))
        return false;
    OnMailboxFull on_full = OnMailboxFull::error;
    if (options.on_full) {
        const bool is_text = PyUnicode_Check(options.on_full);
        if (is_text && PyUnicode_EqualToUTF8(options.on_full, "drop_newest")) {
            on_full = OnMailboxFull::drop_newest;
        } else if (!is_text || !PyUnicode_EqualToUTF8(options.on_full, "error")) {
            raise_error("ConfigError", "a mailbox's on_full= is \"error\" or \"drop_newest\", not %R", options.on_full);
            return false;
        }
    }
    if (most || most_bytes)
        limit = std::make_unique<MailboxLimit>(static_cast<std::uint32_t>(most), most_bytes, on_full);
    return true;
}

// How callable and arguments get to the actor. Empty with an exception set when they cannot.
std::optional<PyActor::Start> make_start(InterpreterState& state, bool local, PyObject* callable,
                                         PyObject* const* values, Py_ssize_t count) {
    PyObject* arguments = PyTuple_New(count);
    if (!arguments) return {};
    for (Py_ssize_t i = 0; i < count; ++i) PyTuple_SET_ITEM(arguments, i, Py_NewRef(values[i]));
    if (local && codec_of(state).is_immutable(arguments))
        return PyActor::Start{Py_NewRef(callable), arguments, nullptr, nullptr};
    OwnedParcel encoded_callable = local ? nullptr : codec_of(state).encode_function(callable);
    OwnedParcel encoded_arguments = local || encoded_callable ? state.codec->encode(arguments, "args") : nullptr;
    Py_DECREF(arguments);
    if (!encoded_arguments) {
        if (encoded_callable) encoded_callable->give_back();
        return {};
    }
    if (local) return PyActor::Start{Py_NewRef(callable), nullptr, nullptr, std::move(encoded_arguments)};
    return PyActor::Start{nullptr, nullptr, std::move(encoded_callable), std::move(encoded_arguments)};
}

// What spawn was asked for, checked.
struct Order {
    PyObject* callable = nullptr;
    Options options;
    std::uint32_t stack_bytes = 0;
    std::shared_ptr<std::string> name;
    std::unique_ptr<MailboxLimit> mailbox_limit;
    bool linked = false;
    bool monitored = false;
    bool signals = false;
};

bool read_flag(PyObject* value, bool& flag) {
    const int truth = PyObject_IsTrue(value);
    flag = truth > 0;
    return truth >= 0;
}

// False with an exception set.
bool read_order(PyObject* const* arguments, Py_ssize_t count, PyObject* names, MailboxDefaults mailbox, Order& order) {
    if (count < 1) {
        PyErr_SetString(PyExc_TypeError, "spawn() needs the function that the actor is to run");
        return false;
    }
    order.callable = arguments[0];
    if (!PyCallable_Check(order.callable)) {
        PyErr_Format(PyExc_TypeError, "spawn() needs something callable, not %.100s%s",
                     Py_TYPE(order.callable)->tp_name,
                     PyCoro_CheckExact(order.callable)
                         ? ": actors are plain functions; async code runs in one with spawn(smarm.aio.run, function)"
                         : "");
        return false;
    }
    if (PyFunction_Check(order.callable)) {
        auto* code = reinterpret_cast<PyCodeObject*>(PyFunction_GET_CODE(order.callable));
        if (code->co_flags & (CO_COROUTINE | CO_ASYNC_GENERATOR)) {
            PyErr_Format(PyExc_TypeError,
                         "spawn() takes a plain function, whose calls park by themselves; %U is an `async def`: leave "
                         "async and await out, or write spawn(smarm.aio.run, ...) with it",
                         reinterpret_cast<PyFunctionObject*>(order.callable)->func_qualname);
            return false;
        }
    }
    if (!read_options(arguments + count, names, order.options) ||
        !read_stack_size(order.options.stack_size, order.stack_bytes))
        return false;
    try {
        if (PyObject* name = order.options.name; name != Py_None) {
            order.name = std::make_shared<std::string>();
            if (!read_text(name, "an actor's name", *order.name)) return false;
        }
        if (!read_flag(order.options.link, order.linked) || !read_flag(order.options.monitor, order.monitored) ||
            !read_flag(order.options.signal, order.signals))
            return false;
        order.signals |= order.options.time_limit != Py_None;
        return read_mailbox_limit(order.options, mailbox, order.mailbox_limit);
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
        return false;
    }
}

// spawner: nullptr when no actor spawns.
std::unique_ptr<Actor> make_actor(Order& order, PyActor::Start&& start, const Ref<JoinState>& join,
                                  const Actor* spawner) {
    std::unique_ptr<Actor> actor = std::make_unique<PyActor>(std::move(start), join);
    actor->stack_bytes = order.stack_bytes;
    actor->mailbox_limit = std::move(order.mailbox_limit);
    actor->spawn_site = current_spawn_site(spawner ? spawner->spawn_site : nullptr);
    actor->name = std::move(order.name);
    if (spawner) actor->parent = spawner->pid;
    return actor;
}

// The name of the module that a worker loads to run it. Borrowed from the callable, or nullptr without an exception.
PyObject* module_name_of(PyObject* callable) {
    if (PyFunction_Check(callable)) return PyFunction_GetModule(callable);
    return nullptr;
}

// Whether any worker can load what an actor of the main lane needs that any may run. False: ImportError is set. Asks
// pylib/smarm/extensions/_trial.py, once for each module; can park.
bool can_be_loaded(InterpreterState& state, PyObject* callable, PyObject* const* values, Py_ssize_t count) {
    if (!state.loadable_modules && !(state.loadable_modules = PySet_New(nullptr))) return false;
    PyObject* module = module_name_of(callable);
    const int known = module && PyUnicode_Check(module) ? PySet_Contains(state.loadable_modules, module) : 0;
    if (known != 0) return known > 0;
    PyObject* arguments = PyTuple_New(count);
    for (Py_ssize_t i = 0; arguments && i < count; ++i) PyTuple_SET_ITEM(arguments, i, Py_NewRef(values[i]));
    PyObject* answer = call_imported("smarm.extensions._trial", "check",
                                     arguments ? Py_BuildValue("(ON)", callable, arguments) : nullptr);
    if (!answer) return false;
    const bool for_all = answer == Py_True && module && PyUnicode_Check(module);
    Py_DECREF(answer);
    return !for_all || PySet_Add(state.loadable_modules, module) == 0;
}

// Says why the scheduler took no actor. Returns nullptr.
PyObject* raise_not_spawned(Scheduler& scheduler, Allocated allocated) {
    const ActorLimits& limits = scheduler.table().limits();
    if (scheduler.stopping()) return raise_error("NoRuntime", "the runtime is shutting down: it takes no new actors");
    if (allocated == Allocated::too_many_actors)
        return raise_error("ActorLimit", "there are %zu actors, more are not allowed by max_actors", limits.actors);
    if (allocated == Allocated::too_many_stack_bytes)
        return raise_error("ActorLimit",
                           "the actors' stacks would have more than %zu bytes of address space, which max_stack_bytes "
                           "does not allow: end actors, or give them less with stack_size",
                           limits.stack_bytes);
    return PyErr_NoMemory();
}

}  // namespace

PyObject* spawn(PyObject*, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    Worker* worker = require_actor("spawn");
    Order order;
    Placement placement;
    Runtime* runtime = Runtime::current();
    if (!worker || !read_order(arguments, count, names, mailbox_defaults(runtime->config()), order) ||
        !read_placement(*worker, order.callable, order.options.on, placement))
        return nullptr;
    Instant limit = kNever;
    if (!read_timeout(order.options.time_limit, *worker, limit)) return nullptr;
    const bool local = placement.place == Scheduler::Place::local;
    if (!local && !runtime->ready_for_workers()) return nullptr;
    InterpreterState& state = *interpreter_state();
    const bool anywhere = placement.place == Scheduler::Place::shared || placement.place == Scheduler::Place::spread;
    if (anywhere && worker->index() == 0 && !can_be_loaded(state, order.callable, arguments + 1, count - 1))
        return nullptr;
    std::unique_ptr<Actor> actor;
    PyObject* handle = nullptr;
    auto start = make_start(state, local, order.callable, arguments + 1, count - 1);
    if (!start) return nullptr;
    try {
        auto join = make_shared_ref<JoinState>(!local);
        actor = make_actor(order, std::move(*start), join, worker->current());
        handle = make_join_handle(state, Pid{}, join);
        if (!handle) {
            actor->cancelled(false);
            return nullptr;
        }
        MonitorRef ref = 0;
        std::function<void(Actor&)> relate;
        if (order.linked || order.monitored || order.signals) {
            relate = [&](Actor& child) {
                Actor& self = *worker->current();
                if (order.linked) link_child(self, child);
                if (order.monitored) ref = monitor_child(self, child);
                if (order.signals) watch_child(self, child, limit);
            };
        }
        Allocated allocated{};
        const Pid pid = worker->scheduler().spawn(actor, placement.place, placement.worker, relate, &allocated);
        if (!pid) {
            actor->cancelled(false);
            Py_DECREF(handle);
            // While the runtime ends the caller is asked to end, too: here is where it hears of it, even if its worker
            // has not heard of it yet.
            if (worker->scheduler().stopping()) {
                worker->request_stop();
                if (worker->at_safe_point(false, Deliver::everything)) return raise_exit();
            }
            return raise_not_spawned(worker->scheduler(), allocated);
        }
        complete_join_handle(handle, pid, ref);
        return handle;
    } catch (const std::bad_alloc&) {
        if (actor) {
            actor->cancelled(false);
        } else {
            Py_XDECREF(start->callable);
            Py_XDECREF(start->arguments);
        }
        Py_XDECREF(handle);
        return PyErr_NoMemory();
    }
}

bool spawn_from_outside(std::uint64_t run, Pid beside, PyObject* const* arguments, Py_ssize_t count, PyObject* names,
                        const Ref<JoinState>& join, Pid& pid) {
    unsigned workers = 0;
    MailboxDefaults mailbox;
    int home = ActorTable::kNobody;
    if (const RuntimeVisit visit(run); visit) {
        workers = visit->scheduler().workers();
        mailbox = mailbox_defaults(visit->config());
        home = visit->scheduler().table().find_home(beside);
    } else {
        raise_not_there(run);
        return false;
    }
    Order order;
    Placement placement;
    if (!read_order(arguments, count, names, mailbox, order) ||
        !read_placement_from_outside(workers, order.callable, order.options.on, placement))
        return false;
    if (order.linked || order.monitored || order.signals) {
        PyErr_SetString(PyExc_TypeError, "a portal cannot link or monitor, nor signal: there is no actor on this side");
        return false;
    }
    if (home >= 0) placement = {Scheduler::Place::on_worker, static_cast<unsigned>(home)};
    auto start = make_start(*interpreter_state(), false, order.callable, arguments + 1, count - 1);
    if (!start) return false;
    try {
        std::unique_ptr<Actor> actor = make_actor(order, std::move(*start), join, nullptr);
        forget_spawn_sites();  // this thread is no worker, which does so at its end
        const RuntimeVisit visit(run);
        const bool to_main = placement.place == Scheduler::Place::on_worker && placement.worker == 0;
        const bool ready = visit && (to_main || visit->ready_for_workers());
        Allocated allocated{};
        if (ready) pid = visit->scheduler().spawn(actor, placement.place, placement.worker, {}, &allocated);
        if (pid) return true;
        actor->cancelled(false);
        if (!visit) raise_not_there(run);
        else if (ready) raise_not_spawned(visit->scheduler(), allocated);
        return false;
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
        return false;
    }
}

PyObject* raise_not_there(std::uint64_t run) {
    return raise_error("NoRuntime", run ? "the runtime that this portal leads to has ended"
                                        : "no smarm runtime runs in this process: the portal leads nowhere yet");
}

PyMethodDef spawn_functions[] = {
    {"spawn", SMARM_FAST_METHOD(spawn),
     "spawn(function, /, *args, on=None, name=None, link=False, monitor=False, signal=False, time_limit=None, "
     "stack_size=None, "
     "mailbox_limit=None, mailbox_byte_limit=None, on_full='error')\n--\n\nStart an actor that runs function(*args), "
     "and return its "
     "JoinHandle.\n\nargs are copied like messages (immutable ones may be shared).  on chooses the worker: None lets "
     "any worker take a "
     "module-level function,\nwhile nested functions, lambdas and other callables with state stay on the caller's "
     "worker; \"local\" is the "
     "caller's, \"main\" the one with the\nmain interpreter, a number that worker.  link and monitor relate the caller "
     "to the actor before it can run (the "
     "handle's monitor is the Ref).  signal tells its end as Signal.Exit or Signal.Panic;\ntime_limit (seconds) does "
     "that, too, and tells Signal.Timeout when it "
     "has not ended by then.  stack_size is in bytes.  "
     "mailbox_limit is how many messages may wait for it, mailbox_byte_limit how many bytes of them (0: any "
     "number;\nNone: as configured); when there is no room for one more, send "
     "raises "
     "MailboxFull in the sender (on_full=\"error\") or the message is a dead letter (\"drop_newest\").\nRaises "
     "TypeError, "
     "ConfigError, NotSendable, ActorLimit, MemoryError, NoRuntime, ImportError for what workers cannot load."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace smarm::bind
