#include "bind/placement.h"

#include <cstring>
#include <optional>

#include "smarm/interp/errors.h"
#include "smarm/interp/requested_exception.h"

namespace smarm::bind {
namespace {

using Place = Scheduler::Place;

// A callable without state of its own, which another interpreter can find by its name.
bool is_stateless(PyObject* callable) {
    if (PyType_Check(callable) || PyCFunction_CheckExact(callable)) return true;
    if (!PyFunction_Check(callable)) return false;
    auto* function = reinterpret_cast<PyFunctionObject*>(callable);
    if (function->func_closure) return false;
    // Nested functions have "<locals>" in their qualified name, lambdas end in "<lambda>".
    const char* name = PyUnicode_AsUTF8(function->func_qualname);
    if (!name) drop_exception();
    return name && !std::strchr(name, '<');
}

// The index, if it is one of a worker.
std::optional<unsigned> read_index(PyObject* on, unsigned workers) {
    if (!PyLong_CheckExact(on)) return {};
    const long index = PyLong_AsLong(on);
    if (index == -1 && PyErr_Occurred()) drop_exception();
    if (index < 0 || index >= static_cast<long>(workers)) return {};
    return static_cast<unsigned>(index);
}

bool says(PyObject* on, const char* word) { return PyUnicode_Check(on) && PyUnicode_EqualToUTF8(on, word); }

bool refuse(PyObject* on, const char* local, unsigned workers) {
    raise_error("ConfigError", "on= is %s\"main\", \"spread\", a worker's index from 0 to %u, or None; not %R", local,
                workers - 1, on);
    return false;
}

}  // namespace

bool read_placement(const Worker& own, PyObject* callable, PyObject* on, Placement& placement) {
    const bool simulated = own.simulation() != nullptr;
    const unsigned workers = simulated ? kMaxWorkers : own.scheduler().workers();
    if (on == Py_None) {
        if (workers > 1 && !simulated && is_stateless(callable)) placement.place = Place::shared;
    } else if (says(on, "local")) {
        placement.place = Place::local;
    } else if (says(on, "spread")) {
        if (!simulated) placement.place = Place::spread;
    } else if (const auto chosen = says(on, "main") ? 0u : read_index(on, workers)) {
        placement = {simulated || *chosen == own.index() ? Place::local : Place::on_worker, *chosen};
    } else {
        return refuse(on, "\"local\", ", workers);
    }
    return true;
}

bool read_placement_from_outside(unsigned workers, PyObject* callable, PyObject* on, Placement& placement) {
    placement = {Place::on_worker, 0};
    if (on == Py_None) {
        if (workers > 1 && is_stateless(callable)) placement.place = Place::shared;
    } else if (says(on, "spread")) {
        placement.place = Place::spread;
    } else if (const auto chosen = says(on, "main") ? 0u : read_index(on, workers)) {
        placement.worker = *chosen;
    } else {
        return refuse(on, "", workers);
    }
    return true;
}

}  // namespace smarm::bind
