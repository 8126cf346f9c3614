#include "smarm/interp/interpreter_state.h"

#include <mutex>
#include <unordered_map>

#include "smarm/interp/blocking_pool.h"

namespace smarm {
namespace {

// Keyed by the id that CPython never gives to a second interpreter.
std::mutex states_mutex;
std::unordered_map<std::int64_t, InterpreterState*>& states() {
    static std::unordered_map<std::int64_t, InterpreterState*> map;
    return map;
}

}  // namespace

constinit thread_local detail::InterpreterCache detail::interpreter_cache __attribute__((tls_model("initial-exec")));
atomic<std::uint64_t> detail::interpreter_epoch{1};

InterpreterState::InterpreterState(std::unique_ptr<ValueCodec> its_codec)
    : codec(std::move(its_codec)), blocking(std::make_unique<BlockingPool>()) {}

InterpreterState::~InterpreterState() {
    Py_XDECREF(reinterpret_cast<PyObject*>(pid_type));
    Py_XDECREF(reinterpret_cast<PyObject*>(join_handle_type));
    Py_XDECREF(reinterpret_cast<PyObject*>(outside_handle_type));
    Py_XDECREF(reinterpret_cast<PyObject*>(sender_type));
    Py_XDECREF(reinterpret_cast<PyObject*>(receiver_type));
    Py_XDECREF(reinterpret_cast<PyObject*>(source_type));
    Py_XDECREF(reinterpret_cast<PyObject*>(connection_type));
    Py_XDECREF(reinterpret_cast<PyObject*>(listener_type));
    for (PyTypeObject* type : native_types) Py_XDECREF(reinterpret_cast<PyObject*>(type));
    Py_XDECREF(actor_exit);
    Py_XDECREF(loadable_modules);
    Py_XDECREF(running_threads);
    for (PyObject* name : {threading_name, trace_hook_name, profile_hook_name}) Py_XDECREF(name);
}

InterpreterState* detail::find_interpreter_state() noexcept {
    PyInterpreterState* interpreter = PyInterpreterState_Get();
    InterpreterCache& cache = interpreter_cache;
    const std::uint64_t now = interpreter_epoch.load(memory_order_relaxed);
    if (cache.interpreter == interpreter && cache.epoch == now) return cache.state;
    std::lock_guard guard(states_mutex);
    auto found = states().find(PyInterpreterState_GetID(interpreter));
    if (found == states().end()) return nullptr;
    cache.interpreter = interpreter;
    cache.state = found->second;
    cache.epoch = now;
    return found->second;
}

void set_interpreter_state(InterpreterState* state) {
    const std::int64_t id = PyInterpreterState_GetID(PyInterpreterState_Get());
    std::lock_guard guard(states_mutex);
    detail::interpreter_epoch.fetch_add(1, memory_order_relaxed);
    if (state) states()[id] = state;
    else states().erase(id);
}

}  // namespace smarm
