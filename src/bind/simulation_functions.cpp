#include "bind/simulation_functions.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "bind/run_options.h"
#include "interp/method_table.h"
#include "smarm/interp/code_owner.h"
#include "smarm/interp/pid_type.h"
#include "smarm/interp/py_actor.h"
#include "smarm/interp/py_rider.h"
#include "smarm/interp/requested_exception.h"
#include "smarm/runtime/runtime.h"
#include "smarm/sched/simulation.h"

namespace smarm::bind {
namespace {

PyObject* text(const std::string& string) {
    return PyUnicode_DecodeUTF8(string.data(), static_cast<Py_ssize_t>(string.size()), "replace");
}

// One turn as (seconds, pid, name, state, place): state is "parked: lock", "ready", ...
PyObject* turn_to_python(const Simulation::Turn& turn) {
    std::string state = state_name(turn.state);
    if (turn.state == ActorState::parked) state += std::string(": ") + wait_reason_name(turn.reason);
    const std::chrono::duration<double> since = turn.began - Simulation::kStart;
    return Py_BuildValue("(dNNNN)", since.count(), make_pid(turn.actor), text(turn.name), text(state),
                         text(turn.place));
}

PyObject* trace_to_python(const Simulation& simulation) {
    PyObject* list = PyList_New(0);
    for (const Simulation::Turn& turn : simulation.trace()) {
        PyObject* item = list ? turn_to_python(turn) : nullptr;
        if (!item || PyList_Append(list, item) != 0) Py_CLEAR(list);
        Py_XDECREF(item);
        if (!list) break;
    }
    return list;
}

// _simulate(main, arguments, config, main_by_value, seed, keeps_trace, max_steps, interrupt_point):
// (value, exception, wait graph of a deadlock, trace, whether there were too many steps, how many actors were
// interrupted).
PyObject* simulate(PyObject*, PyObject* arguments) {
    PyObject* main = nullptr;
    PyObject* main_arguments = nullptr;
    PyObject* options = nullptr;
    RuntimeConfig config{};
    int main_by_value = 0;
    unsigned long long seed = 0;
    int keeps_trace = 0;
    unsigned long long max_steps = 0;
    unsigned long long interrupt_point = 0;
    if (!PyArg_ParseTuple(arguments, "OO!O!pKpKK:_simulate", &main, &PyTuple_Type, &main_arguments, &PyDict_Type,
                          &options, &main_by_value, &seed, &keeps_trace, &max_steps, &interrupt_point) ||
        !read_run_options(options, config))
        return nullptr;
    config.main_by_value = main_by_value != 0;
    Simulation simulation(seed, keeps_trace != 0, max_steps, interrupt_point);
    config.simulation = &simulation;
    PyObject* value = Runtime::run(config, main, main_arguments);
    PyObject* exception = value ? nullptr : PyErr_GetRaisedException();
    const auto or_none = [](PyObject* object) { return object ? object : Py_NewRef(Py_None); };
    return Py_BuildValue("(NNNNNK)", or_none(value), or_none(exception),
                         simulation.deadlock.empty() ? Py_NewRef(Py_None) : text(simulation.deadlock),
                         trace_to_python(simulation), PyBool_FromLong(simulation.too_many_steps()),
                         simulation.interrupts());
}

// ---- preemption points ----------------------------------------------------------------------------------------------

PyObject* disable = nullptr;               // sys.monitoring.DISABLE
std::vector<std::string> library_folders;  // whose code has no preemption points
std::vector<std::string> program_folders;  // folders below those whose code has them: the longest match counts
PyCodeObject* last_code = nullptr;         // is_program_code() of this one is true; a strong reference

std::size_t longest_match(std::string_view file, const std::vector<std::string>& folders) {
    std::size_t longest = 0;
    for (const std::string& folder : folders) {
        if (file.starts_with(folder)) longest = std::max(longest, folder.size());
    }
    return longest;
}

constexpr std::string_view kMadeByDataclasses = "__create_fn__.";  // what such methods' qualified names begin with
constexpr std::string_view kClassOfNamedtuple = "_cls";            // the first argument of such a __new__

// What dataclasses and namedtuple generate for a class: the library's code, though no file of it has it.
bool is_generated(PyCodeObject* code) {
    const std::string_view name = text_of(code->co_qualname);
    if (name.starts_with(kMadeByDataclasses)) return true;
    if (code->co_argcount == 0 || name != "<lambda>" || text_of(code->co_filename) != "<string>") return false;
    PyObject* names = PyCode_GetVarnames(code);
    if (!names) return drop_exception(), false;
    const bool of_namedtuple = text_of(PyTuple_GET_ITEM(names, 0)) == kClassOfNamedtuple;
    Py_DECREF(names);
    return of_namedtuple;
}

bool is_program_code(PyCodeObject* code) {
    if (code == last_code) return true;
    const std::string_view file = text_of(code->co_filename);
    if (file.empty() || file.starts_with("<frozen ") || is_generated(code) ||
        longest_match(file, library_folders) > longest_match(file, program_folders))
        return false;
    Py_XSETREF(last_code, reinterpret_cast<PyCodeObject*>(Py_NewRef(code)));
    return true;
}

// The callback of sys.monitoring for each instruction: (code, offset).
PyObject* preemption_point(PyObject*, PyObject* const* arguments, Py_ssize_t count) {
    Worker* worker = this_worker();
    Simulation* simulation = worker ? worker->simulation() : nullptr;
    Actor* actor = simulation ? worker->current() : nullptr;
    if (!actor || actor->rider_state != PyThreadState_GetUnchecked() || count != 2) Py_RETURN_NONE;
    if (!is_program_code(reinterpret_cast<PyCodeObject*>(arguments[0]))) return Py_NewRef(disable);
    auto& rider = *static_cast<PyRider*>(worker->rider());
    if (actor->requests.is_due(simulation->now()) && !rider.interrupt_here()) return nullptr;
    if (simulation->passes_preemption_point() && !rider.preempt_here()) return nullptr;
    Py_RETURN_NONE;
}

bool read_folders(PyObject* tuple, std::vector<std::string>& folders) {
    folders.clear();
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); ++i) {
        const char* folder = PyUnicode_AsUTF8(PyTuple_GET_ITEM(tuple, i));
        if (!folder) return false;
        folders.emplace_back(folder);
    }
    return true;
}

// _set_preemption(disable, library_folders, program_folders): before a simulation; (None, (), ()) after it.
PyObject* set_preemption(PyObject*, PyObject* arguments) {
    PyObject* answer = nullptr;
    PyObject* library = nullptr;
    PyObject* program = nullptr;
    if (!PyArg_ParseTuple(arguments, "OO!O!:_set_preemption", &answer, &PyTuple_Type, &library, &PyTuple_Type,
                          &program) ||
        !read_folders(library, library_folders) || !read_folders(program, program_folders))
        return nullptr;
    Py_XSETREF(disable, Py_NewRef(answer));
    Py_CLEAR(last_code);
    Py_RETURN_NONE;
}

}  // namespace

PyMethodDef simulation_functions[] = {
    {"_simulate", simulate, METH_VARARGS, nullptr},
    {"_preemption_point", SMARM_POSITIONAL_METHOD(preemption_point), nullptr},
    {"_set_preemption", set_preemption, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace smarm::bind
