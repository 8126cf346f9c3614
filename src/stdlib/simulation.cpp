#include "smarm/stdlib/simulation.h"

#include "cpython/method_patch.h"
#include "smarm/interp/errors.h"
#include "smarm/interp/imports.h"
#include "smarm/sched/simulation.h"
#include "stdlib/locks_wait.h"

namespace smarm {
namespace {

// time.time() at Simulation::kStart: 2025-01-01 00:00 UTC, the same in every run.
constexpr Duration kStartOfTime = std::chrono::seconds(1'735'689'600);

Simulation* calling_simulation() noexcept { return calling_actor() ? this_worker()->simulation() : nullptr; }

enum Clock : int { monotonic, monotonic_ns, wall, wall_ns };

template <int clock>
PyObject* read_clock(const stdlib::Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                     PyObject* names) {
    Simulation* simulation = count == 0 ? calling_simulation() : nullptr;
    if (!simulation) return original.call(self, values, count, names);
    Duration time = simulation->tick().time_since_epoch();
    if (clock == wall || clock == wall_ns) time += kStartOfTime - Simulation::kStart.time_since_epoch();
    if (clock == monotonic_ns || clock == wall_ns) return PyLong_FromLongLong(time.count());
    return PyFloat_FromDouble(static_cast<double>(time.count()) * 1e-9);
}

PyObject* start_thread(const stdlib::Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                       PyObject* names) {
    if (!calling_simulation()) return original.call(self, values, count, names);
    return raise_error(
        "NotSimulated",
        "a thread runs when the system likes, which no seed decides: spawn an actor instead, or leave this "
        "part out of the simulation");
}

}  // namespace

bool install_stdlib_simulation() {
    using stdlib::Patch;
    PyObject* time = import_module("time");
    PyObject* thread = time ? import_module("_thread") : nullptr;
    const bool installed = thread && Patch<read_clock<monotonic>, 0>::install(time, nullptr, "monotonic") &&
                           Patch<read_clock<monotonic>, 1>::install(time, nullptr, "perf_counter") &&
                           Patch<read_clock<monotonic_ns>, 0>::install(time, nullptr, "monotonic_ns") &&
                           Patch<read_clock<monotonic_ns>, 1>::install(time, nullptr, "perf_counter_ns") &&
                           Patch<read_clock<wall>>::install(time, nullptr, "time") &&
                           Patch<read_clock<wall_ns>>::install(time, nullptr, "time_ns") &&
                           Patch<start_thread, 0>::install(thread, nullptr, "start_new_thread") &&
                           Patch<start_thread, 1>::install(thread, nullptr, "start_new") &&
                           Patch<start_thread, 2>::install(thread, nullptr, "start_joinable_thread");
    Py_XDECREF(thread);
    Py_XDECREF(time);
    return installed;
}

}  // namespace smarm
