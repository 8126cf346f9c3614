// smarm._core: the module object of each interpreter, put together of what the other files make.
#include "bind/module.h"

#include <memory>
#include <new>

#include "bind/actor_functions.h"
#include "bind/buffer_object.h"
#include "bind/channel_types.h"
#include "bind/io_functions.h"
#include "bind/join_handle.h"
#include "bind/load_functions.h"
#include "bind/portal_functions.h"
#include "bind/receive.h"
#include "bind/run_functions.h"
#include "bind/run_options.h"
#include "bind/section_types.h"
#include "bind/select.h"
#include "bind/signal_functions.h"
#include "bind/simulation_functions.h"
#include "bind/spawn.h"
#include "bind/statistics.h"
#include "bind/sync_types.h"
#include "bind/task_types.h"
#include "bind/timer_functions.h"
#include "smarm/actor/actor_table.h"
#include "smarm/codec/codec.h"
#include "smarm/codec/functions.h"
#include "smarm/extensions/functions.h"
#include "smarm/interp/errors.h"
#include "smarm/interp/interpreter_state.h"
#include "smarm/interp/pid_type.h"
#include "smarm/stdlib/locks.h"

namespace smarm::bind {
namespace {

PidType pid_type_for_codec(PyTypeObject* type) {
    return {type, [](PyObject* pid) { return pid_value(pid).bits(); },
            [](std::uint64_t bits) { return make_pid(Pid::from_bits(bits)); }};
}

bool add_type(PyObject* module, const char* name, PyTypeObject* type) {
    return PyModule_AddObjectRef(module, name, reinterpret_cast<PyObject*>(type)) == 0;
}

void forget_state(PyObject* capsule) {
    auto* state = static_cast<InterpreterState*>(PyCapsule_GetPointer(capsule, nullptr));
    set_interpreter_state(nullptr);
    delete state;
}

// What the types below need. False with an exception set.
bool fill_state(InterpreterState& state) {
    state.locks = std::make_shared<StdlibLocks>();
    state.pid_type = create_pid_type();
    if (!state.pid_type) return false;
    codec_of(state).set_pid_type(pid_type_for_codec(state.pid_type));
    if (!create_channel_types(state) || !create_join_handle_type(state)) return false;
    state.actor_exit = error_type("ActorExit");
    state.threading_name = PyUnicode_InternFromString("threading");
    state.trace_hook_name = PyUnicode_InternFromString("_trace_hook");
    state.profile_hook_name = PyUnicode_InternFromString("_profile_hook");
    return state.actor_exit && state.threading_name && state.trace_hook_name && state.profile_hook_name;
}

// Makes the interpreter's state, which the module owns from now on. nullptr with an exception set.
InterpreterState* add_state(PyObject* module) {
    auto state = std::make_unique<InterpreterState>(std::make_unique<Codec>());
    state->names = PyModule_GetDict(module);
    if (!fill_state(*state)) return nullptr;
    set_interpreter_state(state.get());
    // The capsule dies with the module's dict, which is late in the interpreter's end but before its types' memory.
    PyObject* capsule = PyCapsule_New(state.get(), nullptr, forget_state);
    if (!capsule) {
        set_interpreter_state(nullptr);
        return nullptr;
    }
    InterpreterState* owned = state.release();
    return PyModule_Add(module, "_state", capsule) == 0 ? owned : nullptr;
}

bool add_functions(PyObject* module) {
    for (PyMethodDef* functions : {run_functions, load_functions, codec_functions, actor_functions, channel_functions,
                                   spawn_functions, signal_functions, receive_functions, select_functions,
                                   simulation_functions, portal_functions, statistics_functions, extension_functions}) {
        if (PyModule_AddFunctions(module, functions) != 0) return false;
    }
    return true;
}

// In their TypeErrors CPython names functions by their module: these are the package's.
bool name_public_functions(PyObject* module) {
    PyObject* name = PyUnicode_InternFromString("smarm");
    bool named = name != nullptr;
    PyObject *key, *value;
    for (Py_ssize_t place = 0; named && PyDict_Next(PyModule_GetDict(module), &place, &key, &value);) {
        if (PyCFunction_CheckExact(value) && PyUnicode_ReadChar(key, 0) != '_')
            named = PyObject_SetAttrString(value, "__module__", name) == 0;
    }
    Py_XDECREF(name);
    return named;
}

bool add_constants(PyObject* module) {
    PyObject* options = run_option_names();
    return options && PyModule_Add(module, "_OPTIONS", options) == 0 &&
           PyModule_AddIntConstant(module, "_MOST_ACTORS", ActorTable::kMostActors) == 0 &&
           PyModule_AddStringConstant(module, "__version__", SMARM_VERSION) == 0;
}

bool fill_module(PyObject* module) {
    if (InterpreterState* first = interpreter_state()) {
        // Loaded once more under another name: the same objects, so that there is one core in this interpreter.
        PyObject* names = PyModule_GetDict(module);
        return PyDict_SetItemString(names, "_first", first->names) == 0 && PyDict_Merge(names, first->names, 0) == 0;
    }
    InterpreterState* state = add_state(module);
    return state && add_sync_types(module, *state) && add_task_types(module, *state) && add_section_types(module) &&
           add_timer_functions(module, *state) && add_io(module, *state) && add_select(module, *state) &&
           add_buffer_type(module, *state) && add_portal(module, *state) && add_type(module, "Pid", state->pid_type) &&
           add_type(module, "JoinHandle", state->join_handle_type) && add_type(module, "Sender", state->sender_type) &&
           add_type(module, "Receiver", state->receiver_type) && add_functions(module) &&
           name_public_functions(module) && add_constants(module);
}

int execute(PyObject* module) {
    try {
        return fill_module(module) ? 0 : -1;
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
        return -1;
    }
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
