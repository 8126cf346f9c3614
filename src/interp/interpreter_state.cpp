#include "smarm/interp/interpreter_state.h"

#include <mutex>
#include <unordered_map>

#include "interp/py_compat.h"
#include "smarm/base/sync.h"
#include "smarm/interp/blocking_pool.h"
#include "smarm/interp/stdlib_locks.h"

namespace smarm {
namespace {

// Keyed by the id that CPython never gives to a second interpreter.
std::mutex states_mutex;
std::unordered_map<std::int64_t, InterpreterState*>& states() {
    static std::unordered_map<std::int64_t, InterpreterState*> map;
    return map;
}

// What this thread found last. The epoch makes it stale when any state is forgotten: the address of an ended interpreter can
// become another's.
struct Cache {
    const PyInterpreterState* interpreter = nullptr;
    InterpreterState* state = nullptr;
    std::uint64_t epoch = 0;
};
thread_local Cache cache __attribute__((tls_model("initial-exec")));
// Relaxed: a thread that is attached to the interpreter whose state was forgotten did it itself, or got the GIL after that.
atomic<std::uint64_t> epoch{1};

}  // namespace

InterpreterState::InterpreterState()
    : locks(std::make_unique<StdlibLocks>()), blocking(std::make_unique<BlockingPool>()) {}

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
    for (PyObject* name : {threading_name, trace_hook_name, profile_hook_name}) Py_XDECREF(name);
}

InterpreterState* interpreter_state() noexcept {
    const PyInterpreterState* interpreter = smarm_interpreter_of(PyThreadState_GetUnchecked());
    const std::uint64_t now = epoch.load(memory_order_relaxed);
    if (__builtin_expect(cache.interpreter == interpreter && cache.epoch == now, 1)) return cache.state;
    std::lock_guard guard(states_mutex);
    auto found = states().find(PyInterpreterState_GetID(PyInterpreterState_Get()));
    if (found == states().end()) return nullptr;
    cache = {interpreter, found->second, now};
    return found->second;
}

void set_interpreter_state(InterpreterState* state) {
    const std::int64_t id = PyInterpreterState_GetID(PyInterpreterState_Get());
    std::lock_guard guard(states_mutex);
    epoch.fetch_add(1, memory_order_relaxed);
    if (state) states()[id] = state;
    else states().erase(id);
}

}  // namespace smarm
