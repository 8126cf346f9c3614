#include "smarm/stdlib/threads.h"

#include <algorithm>
#include <cmath>

#include "smarm/interp/imports.h"
#include "smarm/interp/point.h"
#include "smarm/interp/requested_exception.h"
#include "smarm/wait/wait_queue.h"
#include "stdlib/socket_wait.h"

namespace smarm {
namespace stdlib {
namespace {

// Reads seconds; None, nullptr: forever. False: it does not wait, or is for the original to judge.
bool read_timeout(PyObject* timeout, stdlib_locks::Patience& patience) {
    if (!timeout || timeout == Py_None) return true;
    const double seconds = PyFloat_AsDouble(timeout);
    if (PyErr_Occurred() || !(seconds > 0)) return drop_exception(), false;  // 0, negative, NaN
    patience.forever = seconds >= 9e9;
    if (!patience.forever) patience.timeout = Duration(static_cast<Duration::rep>(std::ceil(seconds * 1e9)));
    return true;
}

// ---- Thread.join ----------------------------------------------------------------------------------------------------
// Nothing in CPython tells anybody but a waiting OS thread that a thread has ended. So what a thread is started with is
// wrapped: when it returns, the actors that join the thread are woken. What is left of the thread then is its thread
// state's end, which is looked for in short pauses; so is the end of threads that were started before smarm was there.

constexpr Duration kFirstPause = std::chrono::milliseconds(1);
constexpr Duration kLongestPause = std::chrono::milliseconds(50);

void wake_joiners(PyObject* handle) {
    InterpreterState* state = interpreter_state();
    if (!state || !state->running_threads) return;
    PySet_Discard(state->running_threads, handle);
    drop_exception();
    if (stdlib_locks::LockEntry* entry = stdlib_locks::find_entry(handle)) entry->wake_all();
}

// self: (function, handle)
PyObject* run_thread(PyObject* self, PyObject*) {
    PyObject* result = PyObject_CallNoArgs(PyTuple_GET_ITEM(self, 0));
    PyObject* raised = PyErr_GetRaisedException();
    wake_joiners(PyTuple_GET_ITEM(self, 1));
    PyErr_SetRaisedException(raised);
    return result;
}

PyMethodDef thread_runner = {"run", run_thread, METH_NOARGS, nullptr};

// start_joinable_thread(function, handle=..., daemon=...)
PyObject* start_thread(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                       PyObject* names) {
    InterpreterState* state = interpreter_state();
    PyObject* handle = nullptr;
    for (Py_ssize_t i = 0; i < (names ? PyTuple_GET_SIZE(names) : 0); ++i) {
        if (PyUnicode_EqualToUTF8(PyTuple_GET_ITEM(names, i), "handle")) handle = values[count + i];
    }
    const bool known = state && count == 1 && handle && handle != Py_None && PyCallable_Check(values[0]) &&
                       PyTuple_GET_SIZE(names) <= 2;
    if (!known) return original.call(self, values, count, names);
    if (!state->running_threads && !(state->running_threads = PySet_New(nullptr))) return nullptr;
    PyObject* pair = PyTuple_Pack(2, values[0], handle);
    PyObject* runner = pair ? PyCFunction_New(&thread_runner, pair) : nullptr;
    Py_XDECREF(pair);
    if (!runner) return nullptr;
    PyObject* given[3] = {runner};
    std::copy_n(values + 1, PyTuple_GET_SIZE(names), given + 1);
    PyObject* result = nullptr;
    if (PySet_Add(state->running_threads, handle) == 0) result = original.call(self, given, 1, names);
    if (!result) {
        PyObject* raised = PyErr_GetRaisedException();
        wake_joiners(handle);
        PyErr_SetRaisedException(raised);
    }
    Py_DECREF(runner);
    return result;
}

int is_done(PyObject* handle) {
    PyObject* done = PyObject_CallMethod(handle, "is_done", nullptr);
    const int answer = done ? PyObject_IsTrue(done) : -1;
    Py_XDECREF(done);
    return answer;
}

// Whether its end will be announced: it runs what it was started with.
int is_running(PyObject* handle) {
    PyObject* running = interpreter_state()->running_threads;
    return running ? PySet_Contains(running, handle) : 0;
}

int never(stdlib_locks::LockEntry&, Actor&) { return 0; }

int is_worth_a_look(stdlib_locks::LockEntry& entry, Actor&) {
    const int running = is_running(entry.lock);
    return running < 0 ? -1 : !running;
}

PyObject* join_thread(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                      PyObject* names) {
    Actor* actor = calling_actor();
    stdlib_locks::LockTable* table = stdlib_locks::lock_table();
    stdlib_locks::Patience patience;
    if (!actor || !table || names || count > 1) return original.call(self, values, count, names);
    if (!pass_point(*actor)) return nullptr;
    if (!read_timeout(count ? values[0] : nullptr, patience)) return original.call(self, values, count, names);
    Driver& driver = this_worker()->driver();
    const Instant deadline = patience.forever ? kNever : deadline_after(driver.now(), patience.timeout);
    Duration pause = kFirstPause;
    for (;;) {
        // Without waiting: most threads that are joined have ended, and the original says what is wrong.
        PyObject* zero = PyLong_FromLong(0);
        PyObject* result = original.call(self, &zero, 1);
        const int done = result ? is_done(self) : -1;
        if (done != 0 || driver.now() >= deadline) {
            if (done < 0) Py_CLEAR(result);
            return result;
        }
        Py_DECREF(result);
        const int running = is_running(self);
        stdlib_locks::LockEntry* entry = running < 0 ? nullptr : table->get(self);
        if (!entry) return running < 0 ? nullptr : PyErr_NoMemory();
        const Instant until = running ? deadline : std::min(deadline, deadline_after(driver.now(), pause));
        if (!running) pause = std::min(pause * 2, kLongestPause);
        patience.forever = until == kNever;
        patience.timeout = patience.forever ? Duration::zero() : until - driver.now();
        switch (stdlib_locks::wait_for_lock(*table, *entry, *actor, patience, running ? is_worth_a_look : never)) {
            case stdlib_locks::Taken::yes:
            case stdlib_locks::Taken::timed_out: break;
            case stdlib_locks::Taken::exit_requested: return raise_exit();
            case stdlib_locks::Taken::error: return nullptr;
        }
    }
}

// ---- SimpleQueue ----------------------------------------------------------------------------------------------------
// An entry of the lock table holds those who wait for a queue, as for a lock.

Original queue_size;

int has_item(stdlib_locks::LockEntry& entry, Actor&) {
    PyObject* size = queue_size.call(entry.lock, nullptr, 0);
    const long number = size ? PyLong_AsLong(size) : -1;
    Py_XDECREF(size);
    return number < 0 ? -1 : number > 0;
}

// Reads get(block=True, timeout=None). False: it does not wait, or is for the original to judge.
bool read_wait(PyObject* const* values, Py_ssize_t count, PyObject* names, stdlib_locks::Patience& patience) {
    PyObject* block = count > 0 ? values[0] : nullptr;
    PyObject* timeout = count > 1 ? values[1] : nullptr;
    patience.is_point = false;
    if (count > 2) return false;
    for (Py_ssize_t i = 0; i < (names ? PyTuple_GET_SIZE(names) : 0); ++i) {
        PyObject* name = PyTuple_GET_ITEM(names, i);
        if (PyUnicode_EqualToUTF8(name, "block") && !block) block = values[count + i];
        else if (PyUnicode_EqualToUTF8(name, "timeout") && !timeout) timeout = values[count + i];
        else return false;
    }
    if (block && PyObject_IsTrue(block) != 1) return drop_exception(), false;
    patience.is_point = true;
    return read_timeout(timeout, patience);
}

PyObject* get_item(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                   PyObject* names) {
    Actor* actor = calling_actor();
    stdlib_locks::Patience patience;
    const bool waits = actor && read_wait(values, count, names, patience);
    if (actor && patience.is_point && !pass_point(*actor)) return nullptr;
    if (!waits) return original.call(self, values, count, names);
    PyObject* const now[] = {Py_False};
    stdlib_locks::LockTable* table = stdlib_locks::lock_table();
    for (;;) {
        PyObject* size = queue_size.call(self, nullptr, 0);
        const long items = size ? PyLong_AsLong(size) : -1;
        Py_XDECREF(size);
        if (items != 0 || !table) return items < 0 ? nullptr : original.call(self, now, 1);
        stdlib_locks::LockEntry* entry = table->get(self);
        if (!entry) return PyErr_NoMemory();
        switch (stdlib_locks::wait_for_lock(*table, *entry, *actor, patience, has_item)) {
            case stdlib_locks::Taken::yes: break;
            case stdlib_locks::Taken::timed_out: return original.call(self, now, 1);  // raises Empty
            case stdlib_locks::Taken::exit_requested: return raise_exit();
            case stdlib_locks::Taken::error: return nullptr;
        }
    }
}

PyObject* put_item(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                   PyObject* names) {
    PyObject* result = original.call(self, values, count, names);
    stdlib_locks::LockEntry* entry = result ? stdlib_locks::find_entry(self) : nullptr;
    if (entry) entry->wake_next();
    return result;
}

}  // namespace

void install_queue(PyObject* module) {
    // get last: who waits must be woken.
    if (!queue_size.function && !find(module, "SimpleQueue", "qsize", queue_size)) return drop_exception();
    const bool wakes = Patch<put_item, 0>::install(module, "SimpleQueue", "put") &&
                       Patch<put_item, 1>::install(module, "SimpleQueue", "put_nowait");
    or_leave(wakes && Patch<get_item>::install(module, "SimpleQueue", "get"));
}

}  // namespace stdlib

bool install_stdlib_threads() {
    PyObject* module = import_module("_thread");
    // Started threads first: who joins must be woken.
    const bool installed = module &&
                           stdlib::Patch<stdlib::start_thread>::install(module, nullptr, "start_joinable_thread") &&
                           stdlib::Patch<stdlib::join_thread>::install(module, "_ThreadHandle", "join");
    Py_XDECREF(module);
    return installed;
}

}  // namespace smarm
