#include "bind/statistics.h"

#include <algorithm>

#include <pybind11/pybind11.h>

#include "bind/signal_functions.h"
#include "smarm/base/process_memory.h"
#include "smarm/interp/blocking_pool.h"
#include "smarm/interp/errors.h"
#include "smarm/interp/interpreter_state.h"
#include "smarm/interp/pid_type.h"
#include "smarm/interp/unjoined_failures.h"
#include "smarm/msg/buffer.h"
#include "smarm/runtime/runtime.h"

namespace py = pybind11;

namespace smarm::bind {
namespace {

// Thrown when a Python error is set.
struct ErrorIsSet {};

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
    for (unsigned i = 0; i < scheduler.workers(); ++i) {
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
                    py::arg("dead_letters") = scheduler.dead_letters(), py::arg("undecoded") = scheduler.undecoded(),
                    py::arg("max_workers") = scheduler.workers(), py::arg("resident_bytes") = memory.resident_bytes,
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

py::object describe_actor(py::handle address) {
    Scheduler& scheduler = running_scheduler();
    Pid pid;
    if (!read_address(*interpreter_state(), scheduler, address.ptr(), pid)) throw ErrorIsSet();
    if (Actor* self = this_actor()) self->worker->charge(*self);
    ActorSnapshot seen;
    if (!scheduler.table().look(pid, seen)) return py::none();
    py::list registered;
    if (seen.registered)
        for (const std::string& name : scheduler.registry().names_of(seen.pid)) registered.append(name);
    const bool parked = seen.state == ActorState::parked;
    return py::dict(
        py::arg("pid") = pid_object(pid), py::arg("name") = seen.name ? py::object(py::str(*seen.name)) : py::none(),
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

PyObject* process_info(PyObject*, PyObject* address) {
    return without_exceptions<PyObject*>(nullptr, [address] { return describe_actor(address).release().ptr(); });
}

py::object worker_index() {
    Worker* worker = this_worker();
    return worker ? py::object(py::int_(worker->index())) : py::none();
}

py::object worker_count() {
    Worker* worker = this_worker();
    return worker ? py::object(py::int_(worker->scheduler().workers())) : py::none();
}

// Whether the runtime of the running actor ends: everybody is asked to exit.
py::object is_ending() { return py::bool_(this_worker() && this_worker()->scheduler().stopping()); }

py::object kill_patience() {
    Worker* worker = this_worker();
    if (!worker) return py::none();
    const Duration patience = worker->scheduler().options().kill_patience;
    return py::float_(std::chrono::duration<double>(patience).count());
}

PyObject* report_failures(PyObject*, PyObject*) {
    report_unjoined_failures(false);
    Py_RETURN_NONE;
}

}  // namespace

PyMethodDef statistics_functions[] = {
    {"_statistics", without_arguments<statistics>, METH_NOARGS, nullptr},
    {"_process_info", process_info, METH_O, nullptr},
    {"processes", without_arguments<processes>, METH_NOARGS,
     "processes()\n--\n\nReturn the Pids of all living actors, of every worker."},
    {"worker_index", without_arguments<worker_index>, METH_NOARGS,
     "worker_index()\n--\n\nReturn the index of the worker that the caller runs on, or None outside of the runtime."},
    {"_report_failures", report_failures, METH_NOARGS, nullptr},
    {"_is_ending", without_arguments<is_ending>, METH_NOARGS, nullptr},
    {"_worker_count", without_arguments<worker_count>, METH_NOARGS, nullptr},
    {"_kill_patience", without_arguments<kill_patience>, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace smarm::bind
