#include "smarm/interp/interpreter_state.h"

#include <mutex>
#include <unordered_map>

#include "smarm/interp/stdlib_locks.h"

namespace smarm {
namespace {

// Keyed by the id that CPython never gives to a second interpreter.
std::mutex states_mutex;
std::unordered_map<std::int64_t, InterpreterState*>& states() {
    static std::unordered_map<std::int64_t, InterpreterState*> map;
    return map;
}

struct Cache {
    std::int64_t id = -1;
    InterpreterState* state = nullptr;
};
thread_local Cache cache __attribute__((tls_model("initial-exec")));

}  // namespace

InterpreterState::InterpreterState() : locks(std::make_unique<StdlibLocks>()) {}

InterpreterState::~InterpreterState() {
    Py_XDECREF(reinterpret_cast<PyObject*>(pid_type));
    Py_XDECREF(reinterpret_cast<PyObject*>(join_handle_type));
    Py_XDECREF(reinterpret_cast<PyObject*>(sender_type));
    Py_XDECREF(reinterpret_cast<PyObject*>(receiver_type));
    for (PyTypeObject* type : native_types) Py_XDECREF(reinterpret_cast<PyObject*>(type));
    Py_XDECREF(actor_exit);
}

InterpreterState* interpreter_state() noexcept {
    const std::int64_t id = PyInterpreterState_GetID(PyInterpreterState_Get());
    if (__builtin_expect(cache.id == id, 1)) return cache.state;
    std::lock_guard guard(states_mutex);
    auto found = states().find(id);
    if (found == states().end()) return nullptr;
    cache = {id, found->second};
    return found->second;
}

void set_interpreter_state(InterpreterState* state) noexcept {
    const std::int64_t id = PyInterpreterState_GetID(PyInterpreterState_Get());
    std::lock_guard guard(states_mutex);
    cache = {};
    if (state) states()[id] = state;
    else states().erase(id);
}

}  // namespace smarm
