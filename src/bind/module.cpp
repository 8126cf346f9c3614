// smarm._core: the module object of each interpreter. Cold functions build their results with pybind11; everything that can
// park or run Python code is a C-API function or type of the other files (pybind11's call guards are thread-local and would
// be mixed up by a switch, and cost 200 ns). Of pybind11 only its wrappers of objects are used: what it makes to define a
// module, a function or a class, or to hold an error, outlives the interpreter, and one object that does keeps all memory of
// that interpreter, 2 MB on 3.14.
#include "bind/module.h"

#include <algorithm>
#include <cerrno>

#include <pybind11/pybind11.h>

#include "bind/actor_functions.h"
#include "bind/buffer_object.h"
#include "bind/channel_types.h"
#include "bind/io_functions.h"
#include "bind/join_handle.h"
#include "bind/portal_functions.h"
#include "bind/receive.h"
#include "bind/run_options.h"
#include "bind/select.h"
#include "bind/signal_functions.h"
#include "bind/simulation_functions.h"
#include "bind/spawn.h"
#include "bind/sync_types.h"
#include "bind/task_types.h"
#include "bind/timer_functions.h"
#include "smarm/base/process_memory.h"
#include "smarm/codec/codec.h"
#include "smarm/codec/functions.h"
#include "smarm/interp/blocking_pool.h"
#include "smarm/interp/errors.h"
#include "smarm/interp/interpreter_state.h"
#include "smarm/interp/pid_type.h"
#include "smarm/interp/unjoined_failures.h"
#include "smarm/msg/buffer.h"
#include "smarm/runtime/dump.h"
#include "smarm/runtime/runtime.h"
#include "smarm/sched/signals.h"
#include "smarm/runtime/signals.h"
#include "smarm/stdlib/locks.h"

namespace py = pybind11;

namespace smarm::bind {
namespace {

// ---- running -------------------------------------------------------------------------------------------------------

// _run(main, arguments, config, main_by_value): config is a tuple that pylib/smarm/_config.py has checked.
PyObject* run(PyObject*, PyObject* arguments) {
    PyObject* main = nullptr;
    PyObject* main_arguments = nullptr;
    PyObject* options = nullptr;
    RuntimeConfig config;
    int main_by_value = 0;
    if (!PyArg_ParseTuple(arguments, "OO!O!p:_run", &main, &PyTuple_Type, &main_arguments, &PyTuple_Type, &options,
                          &main_by_value) ||
        !read_run_options(options, config))
        return nullptr;
    config.main_by_value = main_by_value != 0;
    return Runtime::run(config, main, main_arguments);
}

// ---- for smarm.run() inside smarm-host, see pylib/smarm/_host.py -----------------------------------------------------

PyObject* is_main_actor(PyObject*, PyObject*) {
    Actor* actor = this_actor();
    return PyBool_FromLong(actor && actor->pid == Runtime::current()->main_pid());
}

// _reconfigure(workers, shutdown_timeout, spin): false when it is too late for that.
PyObject* reconfigure(PyObject*, PyObject* arguments) {
    unsigned workers = 0;
    double shutdown_seconds = 0;
    double spin_seconds = 0;
    if (!PyArg_ParseTuple(arguments, "Idd:_reconfigure", &workers, &shutdown_seconds, &spin_seconds)) return nullptr;
    return PyBool_FromLong(
        Runtime::current()->reconfigure(workers, from_seconds(shutdown_seconds), from_seconds(spin_seconds)));
}

PyObject* request_exit(PyObject*, PyObject* pid) {
    if (!is_pid(*interpreter_state(), pid)) return PyErr_Format(PyExc_TypeError, "_request_exit() needs a Pid");
    Scheduler& scheduler = Runtime::current()->scheduler();
    return PyBool_FromLong(cancel(scheduler, pid_value(pid), scheduler.options().interrupt_after));
}

// ---- for the command smarm, see pylib/smarm/_command.py ----------------------------------------------------------------

// _request_dump(pid, fd): raises ProcessLookupError when that is no smarm program that runs.
PyObject* request_dump(PyObject*, PyObject* arguments) {
    int pid = 0;
    int fd = 0;
    if (!PyArg_ParseTuple(arguments, "ii:_request_dump", &pid, &fd)) return nullptr;
    errno = SignalWatch::request_dump(pid, fd);
    if (errno != 0) return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

// ---- loading the script into a worker, see pylib/smarm/_main.py ------------------------------------------------------

PyObject* begin_load(PyObject*, PyObject*) {
    if (Actor* actor = this_actor()) actor->requests.begin_load();
    Py_RETURN_NONE;
}

PyObject* is_loading(PyObject*, PyObject*) {
    Actor* actor = this_actor();
    return PyBool_FromLong(actor && actor->requests.loads_script());
}

PyObject* end_load(PyObject*, PyObject*) {
    if (Actor* actor = this_actor()) actor->requests.end_load();
    Py_RETURN_NONE;
}

PyMethodDef module_functions[] = {
    {"_run", run, METH_VARARGS, nullptr},
    {"_is_main_actor", is_main_actor, METH_NOARGS, nullptr},
    {"_reconfigure", reconfigure, METH_VARARGS, nullptr},
    {"_request_exit", request_exit, METH_O, nullptr},
    {"_request_dump", request_dump, METH_VARARGS, nullptr},
    {"_begin_load", begin_load, METH_NOARGS, nullptr},
    {"_loading", is_loading, METH_NOARGS, nullptr},
    {"_end_load", end_load, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

// ---- looking at the runtime: nothing here runs Python code of the user or parks ---------------------------------------

// Thrown when a Python error is set.
struct ErrorIsSet {};

void check(bool ok) {
    if (!ok) throw ErrorIsSet();
}

// Returns what body() returned; a C++ exception becomes Python's, and `failed` is returned.
template <class Result>
Result without_exceptions(Result failed, auto&& body) noexcept {
    try {
        return body();
    } catch (const ErrorIsSet&) {
    } catch (py::error_already_set& error) {
        error.restore();
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
    } catch (const std::exception& error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
    }
    return failed;
}

template <py::object (*function)()>
PyObject* without_arguments(PyObject*, PyObject*) {
    return without_exceptions<PyObject*>(nullptr, [] { return function().release().ptr(); });
}

py::object pid_object(Pid pid) {
    if (!pid) return py::none();
    return py::reinterpret_steal<py::object>(make_pid(pid));
}

Scheduler& running_scheduler() {
    Runtime* runtime = Runtime::current();
    if (!runtime) {
        raise_error("NoRuntime", "there is no running smarm runtime in this process");
        throw ErrorIsSet();
    }
    return runtime->scheduler();
}

py::dict blocking_statistics(unsigned worker) {
    const BlockingCounters& it = blocking_counters(worker);
    return py::dict(py::arg("threads") = it.threads.load(memory_order_relaxed),
                    py::arg("running") = it.running.load(memory_order_relaxed),
                    py::arg("queued") = it.queued.load(memory_order_relaxed),
                    py::arg("calls") = it.calls.load(memory_order_relaxed),
                    py::arg("given_up") = it.given_up.load(memory_order_relaxed),
                    py::arg("most_threads") = BlockingPool::kMostThreads);
}

py::dict buffers() {
    const BufferStatistics it = buffer_statistics();
    return py::dict(py::arg("live") = it.live, py::arg("live_bytes") = it.live_bytes,
                    py::arg("pooled_bytes") = it.pooled_bytes, py::arg("allocated") = it.allocated,
                    py::arg("pool_hits") = it.pool_hits, py::arg("moved") = it.moved,
                    py::arg("payload_copies") = it.payload_copies, py::arg("payload_bytes_copied") = it.payload_bytes);
}

py::object statistics() {
    Scheduler& scheduler = running_scheduler();
    const ProcessMemory memory = process_memory();
    py::list workers;
    for (unsigned i = 0; i < scheduler.options().workers; ++i) {
        Worker* worker = scheduler.worker(i);
        if (!worker) continue;
        const WorkerCounters& counters = worker->counters();
        const StackPoolStatistics stacks = worker->stacks().statistics();
        const auto read = [](const atomic<std::uint64_t>& counter) { return counter.load(memory_order_relaxed); };
        workers.append(py::dict(
            py::arg("index") = i, py::arg("actors") = worker->live_count(), py::arg("ready") = worker->ready_count(),
            py::arg("sleeping") = worker->sleeping(), py::arg("switches") = read(counters.switches),
            py::arg("started") = read(counters.started), py::arg("finished") = read(counters.finished),
            py::arg("messages") = read(counters.messages),
            py::arg("messages_from_other_workers") = read(counters.remote_messages),
            py::arg("waits") = read(counters.waits), py::arg("preemptions") = read(counters.preemptions),
            py::arg("stacks_trimmed") = read(counters.stacks_trimmed), py::arg("stacks_in_use") = stacks.in_use,
            py::arg("stacks_warm") = stacks.warm, py::arg("stacks_cold") = stacks.cold,
            py::arg("stack_bytes_reserved") = stacks.reserved_bytes,
            py::arg("guard_costs_mapping") = stacks.guard_costs_mapping, py::arg("blocking") = blocking_statistics(i)));
    }
    return py::dict(py::arg("workers") = workers, py::arg("actors") = scheduler.table().alive(),
                    py::arg("dead_letters") = scheduler.dead_letters(),
                    py::arg("max_workers") = scheduler.options().workers,
                    py::arg("resident_bytes") = memory.resident_bytes,
                    py::arg("page_table_bytes") = memory.page_table_bytes, py::arg("buffers") = buffers());
}

py::object processes() {
    std::vector<Pid> pids;
    running_scheduler().table().for_each([&](const ActorSnapshot& actor) { pids.push_back(actor.pid); });
    py::list result;
    for (Pid pid : pids) result.append(pid_object(pid));
    return result;
}

double seconds_since(Instant then) {
    return std::max(0.0, std::chrono::duration<double>(monotonic_now() - then).count());
}

py::object describe_actor(py::handle pid) {
    if (!is_pid(*interpreter_state(), pid.ptr())) {
        PyErr_SetString(PyExc_TypeError, "process_info() needs a Pid");
        throw ErrorIsSet();
    }
    if (Actor* self = this_actor()) self->worker->charge(*self);
    Scheduler& scheduler = running_scheduler();
    ActorSnapshot seen;
    if (!scheduler.table().look(pid_value(pid.ptr()), seen)) return py::none();
    py::list registered;
    if (seen.registered)
        for (const std::string& name : scheduler.registry().names_of(seen.pid)) registered.append(name);
    const bool parked = seen.state == ActorState::parked;
    return py::dict(
        py::arg("pid") = pid, py::arg("name") = seen.name ? py::object(py::str(*seen.name)) : py::none(),
        py::arg("parent") = pid_object(seen.parent), py::arg("state") = state_name(seen.state),
        py::arg("waiting_for") = parked ? py::object(py::str(wait_reason_name(seen.wait_reason))) : py::none(),
        py::arg("waiting_for_pid") = pid_object(awaited_by(seen)),
        py::arg("waiting_seconds") =
            parked ? py::object(py::float_(seconds_since(Instant(Duration(seen.parked_since))))) : py::none(),
        py::arg("reductions") = seen.reductions,
        py::arg("worker") = seen.home < 0 ? py::none() : py::object(py::int_(seen.home)),
        py::arg("messages") = seen.messages,
        py::arg("mailbox_limit") = seen.mailbox_limit ? py::object(py::int_(seen.mailbox_limit)) : py::none(),
        py::arg("mailbox_byte_limit") =
            seen.mailbox_byte_limit ? py::object(py::int_(seen.mailbox_byte_limit)) : py::none(),
        py::arg("buffers") = seen.buffers, py::arg("buffer_bytes") = seen.buffer_bytes,
        py::arg("registered_names") = py::tuple(registered),
        py::arg("spawned_at") =
            seen.spawn_site ? py::object(py::str(seen.spawn_site->file + ":" + std::to_string(seen.spawn_site->line)))
                            : py::none());
}

PyObject* process_info(PyObject*, PyObject* pid) {
    return without_exceptions<PyObject*>(nullptr, [pid] { return describe_actor(pid).release().ptr(); });
}

py::object worker_index() {
    Worker* worker = this_worker();
    return worker ? py::object(py::int_(worker->index())) : py::none();
}

py::object worker_count() {
    Worker* worker = this_worker();
    return worker ? py::object(py::int_(worker->scheduler().options().workers)) : py::none();
}

PyObject* report_failures(PyObject*, PyObject*) {
    report_unjoined_failures(false);
    Py_RETURN_NONE;
}

PyMethodDef looking_functions[] = {
    {"_statistics", without_arguments<statistics>, METH_NOARGS, nullptr},
    {"_process_info", process_info, METH_O, nullptr},
    {"processes", without_arguments<processes>, METH_NOARGS,
     "processes()\n--\n\nReturn the Pids of all living actors, of every worker."},
    {"worker_index", without_arguments<worker_index>, METH_NOARGS,
     "worker_index()\n--\n\nReturn the index of the worker that the caller runs on, or None outside of the runtime."},
    {"_report_failures", report_failures, METH_NOARGS, nullptr},
    {"_worker_count", without_arguments<worker_count>, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

// ---- the module --------------------------------------------------------------------------------------------------------

PidType pid_type_for_codec(PyTypeObject* type) {
    return {type, [](PyObject* pid) { return pid_value(pid).bits(); },
            [](std::uint64_t bits) { return make_pid(Pid::from_bits(bits)); }};
}

void add_type(PyObject* module, const char* name, PyTypeObject* type) {
    check(PyModule_AddObjectRef(module, name, reinterpret_cast<PyObject*>(type)) == 0);
}

void forget_state(PyObject* capsule) {
    auto* state = static_cast<InterpreterState*>(PyCapsule_GetPointer(capsule, nullptr));
    set_interpreter_state(nullptr);
    delete state;
}

void fill_module(PyObject* module) {
    PyObject* names = PyModule_GetDict(module);
    if (InterpreterState* first = interpreter_state()) {
        // Loaded once more under another name: the same objects, so that there is one core in this interpreter.
        check(PyDict_SetItemString(names, "_first", first->names) == 0 && PyDict_Merge(names, first->names, 0) == 0);
        return;
    }
    auto owned = std::make_unique<InterpreterState>(std::make_unique<Codec>());
    owned->locks = std::make_shared<StdlibLocks>();
    InterpreterState& state = *owned;
    state.names = names;
    state.pid_type = create_pid_type();
    check(state.pid_type);
    codec_of(state).set_pid_type(pid_type_for_codec(state.pid_type));
    check(create_channel_types(state) && create_join_handle_type(state));
    state.actor_exit = error_type("ActorExit");
    check(state.actor_exit);
    state.threading_name = PyUnicode_InternFromString("threading");
    state.trace_hook_name = PyUnicode_InternFromString("_trace_hook");
    state.profile_hook_name = PyUnicode_InternFromString("_profile_hook");
    check(state.threading_name && state.trace_hook_name && state.profile_hook_name);
    set_interpreter_state(&state);
    // The capsule dies with the module's dict, which is late in the interpreter's end but before its types' memory.
    const auto capsule = py::reinterpret_steal<py::object>(PyCapsule_New(&state, nullptr, forget_state));
    if (!capsule) set_interpreter_state(nullptr);
    check(static_cast<bool>(capsule));
    static_cast<void>(owned.release());
    check(PyModule_AddObjectRef(module, "_state", capsule.ptr()) == 0);

    check(add_sync_types(module, state) && add_task_types(module, state) && add_timer_functions(module, state));
    check(add_io(module, state) && add_select(module, state) && add_buffer_type(module, state) &&
          add_portal(module, state));
    add_type(module, "Pid", state.pid_type);
    add_type(module, "JoinHandle", state.join_handle_type);
    add_type(module, "Sender", state.sender_type);
    add_type(module, "Receiver", state.receiver_type);
    for (PyMethodDef* functions :
         {module_functions, codec_functions, actor_functions, channel_functions, spawn_functions, signal_functions,
          receive_functions, select_functions, simulation_functions, portal_functions, looking_functions})
        check(PyModule_AddFunctions(module, functions) == 0);

    check(PyModule_AddStringConstant(module, "__version__", SMARM_VERSION) == 0);
}

int execute(PyObject* module) {
    return without_exceptions(-1, [module] {
        fill_module(module);
        return 0;
    });
}

PyModuleDef_Slot slots[] = {
    {Py_mod_exec, reinterpret_cast<void*>(execute)},
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
    {0, nullptr},
};

PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "smarm._core",
    .m_doc = "The native core of smarm: everything public is in the package smarm.",
    .m_size = 0,
    .m_methods = nullptr,
    .m_slots = slots,
    .m_traverse = nullptr,
    .m_clear = nullptr,
    .m_free = nullptr,
};

}  // namespace
}  // namespace smarm::bind

PyObject* PyInit_smarm_core() { return PyModuleDef_Init(&smarm::bind::definition); }
