#include "extensions/owner.h"

#include <cstring>
#include <mutex>
#include <utility>

#include <sched.h>
#include <unistd.h>

#include "cpython/module_definition.h"
#include "cpython/py_compat.h"
#include "smarm/base/sync.h"

namespace smarm {
namespace {

// Who is between the question whether the owner lives and its answer.
class Gate {
public:
    // Acquire pairs with the release of open().
    bool enter() noexcept {
        if ((word_.fetch_add(kEntered, memory_order_acquire) & kOpen) != 0) return true;
        leave();
        return false;
    }
    void leave() noexcept { word_.fetch_sub(kEntered, memory_order_release); }
    void open() noexcept { word_.fetch_or(kOpen, memory_order_release); }
    // Acquire pairs with the release of leave(): what those inside did is done. They are in it for microseconds.
    void close() noexcept {
        word_.fetch_and(~kOpen, memory_order_acq_rel);
        while (word_.load(memory_order_acquire) != 0) sched_yield();
    }

private:
    static constexpr std::uint32_t kOpen = 1;
    static constexpr std::uint32_t kEntered = 2;
    atomic<std::uint32_t> word_{0};
};

struct Owner {
    // Constant while the gate is open. Relaxed: the copies that ask for it were opened after it was set.
    atomic<PyInterpreterState*> interpreter{nullptr};
    Gate gate;
    Load* loads = nullptr;  // guarded by the interpreter's GIL

    PyInterpreterState* get() const noexcept { return interpreter.load(memory_order_relaxed); }
};

std::mutex owners_lock;  // of the count, and of interpreters becoming owners
std::size_t owner_count = 0;
constinit Owner owners[kMostOwners];

[[noreturn]] void wait_for_ever() noexcept {
    for (;;) pause();
}

PyGILState_STATE ensure(Owner& owner) {
    if (PyGILState_GetThisThreadState()) return PyGILState_Ensure();
    if (!owner.gate.enter()) wait_for_ever();
    PyThreadState* state = PyThreadState_New(owner.get());
    owner.gate.leave();
    if (!state) Py_FatalError("there is no memory for a thread that an extension module has started");
    // When the process ends CPython lets such threads wait for ever, but 3.13 ends them: with an exception that may not
    // be thrown through the module's frames, and must not be lost either. So it is caught, and nobody leaves from here.
    try {
        PyEval_RestoreThread(state);
    } catch (...) {
        wait_for_ever();
    }
    // As the thread state counts one call of PyGILState_Ensure, PyGILState_Release ends it.
    return PyGILState_UNLOCKED;
}

int add_pending_call(Owner& owner, int (*function)(void*), void* argument) noexcept {
    if (!owner.gate.enter()) return -1;
    const int added = smarm_add_pending_call(owner.get(), function, argument, 1);
    owner.gate.leave();
    return added ? 0 : -1;
}

PyObject* module_of_definition(PyModuleDef* definition, PyObject* spec, int api) noexcept {
    if (!allow_own_gil(*definition)) return nullptr;
    return PyModule_FromDefAndSpec2(definition, spec, api);
}

}  // namespace

PyObject* create_module(int owner, PyModuleDef* definition, int api) noexcept {
    const PyThreadState* state = PyThreadState_Get();
    Load* load = owners[owner].loads;
    while (load && load->state_ != state) load = load->next_;
    const char* dot = load && load->full_name_ ? std::strrchr(load->full_name_, '.') : nullptr;
    if (!dot || std::strcmp(dot + 1, definition->m_name) != 0) return PyModule_Create2(definition, api);
    // SAFETY: the definition lies in the copy, which belongs to this interpreter, and no Python code runs meanwhile.
    const char* name = std::exchange(definition->m_name, std::exchange(load->full_name_, nullptr));
    PyObject* module = PyModule_Create2(definition, api);
    definition->m_name = name;
    return module;
}

namespace {

// One set of functions for each owner: whoever calls, from whatever thread, they know whose copy it is.
template <std::size_t owner>
struct Functions {
    static PyGILState_STATE ensure_attached() { return ensure(owners[owner]); }
    static PyInterpreterState* main_interpreter() {
        PyInterpreterState* own = owners[owner].get();
        return own ? own : PyInterpreterState_Main();
    }
    static int pending_call(int (*function)(void*), void* argument) {
        return add_pending_call(owners[owner], function, argument);
    }
    static PyObject* module(PyModuleDef* definition, int api) {
        return create_module(static_cast<int>(owner), definition, api);
    }
};

struct Row {
    PyGILState_STATE (*ensure)();
    PyInterpreterState* (*main)();
    int (*pending)(int (*)(void*), void*);
    PyObject* (*module)(PyModuleDef*, int);
};

template <std::size_t... owner>
constexpr std::array<Row, sizeof...(owner)> rows_of(std::index_sequence<owner...>) {
    return {Row{Functions<owner>::ensure_attached, Functions<owner>::main_interpreter, Functions<owner>::pending_call,
                Functions<owner>::module}...};
}
constexpr auto kRows = rows_of(std::make_index_sequence<kMostOwners>());

}  // namespace

int claim_owner() noexcept {
    PyInterpreterState* interpreter = PyInterpreterState_Get();
    std::lock_guard guard(owners_lock);
    for (std::size_t i = 0; i < owner_count; ++i)
        if (owners[i].get() == interpreter) return static_cast<int>(i);
    if (owner_count == kMostOwners) return -1;
    owners[owner_count].interpreter.store(interpreter, memory_order_relaxed);
    owners[owner_count].gate.open();
    return static_cast<int>(owner_count++);
}

void end_owner() noexcept {
    PyInterpreterState* interpreter = PyInterpreterState_Get();
    std::lock_guard guard(owners_lock);
    for (std::size_t i = 0; i < owner_count; ++i) {
        if (owners[i].get() != interpreter) continue;
        owners[i].gate.close();
        owners[i].interpreter.store(nullptr, memory_order_relaxed);  // another interpreter can get its address
        return;
    }
}

std::array<Redirection, 6> redirections_to(int owner) noexcept {
    const Row& row = kRows[static_cast<std::size_t>(owner)];
    void* slots = module_of_slots_function();
    return {{{"PyGILState_Ensure", reinterpret_cast<void*>(row.ensure)},
             {"PyInterpreterState_Main", reinterpret_cast<void*>(row.main)},
             {"Py_AddPendingCall", reinterpret_cast<void*>(row.pending)},
             {"PyModule_Create2", reinterpret_cast<void*>(row.module)},
             {"PyModule_FromDefAndSpec2", reinterpret_cast<void*>(module_of_definition)},
             {slots ? "PyModule_FromSlotsAndSpec" : "", slots}}};
}

Load::Load(int owner, const char* full_name) noexcept
    : owner_(owner), state_(PyThreadState_Get()), full_name_(full_name), next_(owners[owner].loads) {
    owners[owner].loads = this;
}

Load::~Load() {
    Load** place = &owners[owner_].loads;
    while (*place != this) place = &(*place)->next_;
    *place = next_;
}

}  // namespace smarm
