#include "smarm/stdlib/threads.h"

#include <cmath>

#include "smarm/interp/blocking_pool.h"
#include "smarm/interp/imports.h"
#include "smarm/interp/point.h"
#include "smarm/wait/wait_queue.h"
#include "stdlib/socket_wait.h"

namespace smarm {
namespace stdlib {
namespace {

// ---- Thread.join -----------------------------------------------------------------------------------------------------

PyObject* join_thread(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                      PyObject* names) {
    if (!calling_actor() || names || count > 1) return original.call(self, values, count, names);
    if (!pass_point(*calling_actor())) return nullptr;
    // Without waiting first: most threads that are joined have ended, and the original says what is wrong.
    PyObject* zero = PyLong_FromLong(0);
    PyObject* result = original.call(self, &zero, 1);
    if (!result) return nullptr;
    Py_DECREF(result);
    PyObject* done = PyObject_CallMethod(self, "is_done", nullptr);
    const int is_done = done ? PyObject_IsTrue(done) : -1;
    Py_XDECREF(done);
    if (is_done < 0) return nullptr;
    if (is_done) Py_RETURN_NONE;
    // Called again on a pool thread, where there is no actor.
    PyObject* function = PyObject_GetAttrString(self, "join");
    PyObject* arguments = count ? PyTuple_Pack(1, values[0]) : PyTuple_New(0);
    result = function && arguments ? interpreter_state()->blocking->call(function, arguments, kNever) : nullptr;
    Py_XDECREF(arguments);
    Py_XDECREF(function);
    return result;
}

// ---- SimpleQueue -----------------------------------------------------------------------------------------------------
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
    if (block && PyObject_IsTrue(block) != 1) return PyErr_Clear(), false;
    patience.is_point = true;
    if (!timeout || timeout == Py_None) return true;
    const double seconds = PyFloat_AsDouble(timeout);
    if (PyErr_Occurred() || !(seconds > 0)) return PyErr_Clear(), false;  // 0, negative, NaN
    patience.forever = seconds >= 9e9;
    if (!patience.forever) patience.timeout = Duration(static_cast<Duration::rep>(std::ceil(seconds * 1e9)));
    return true;
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
    if (!queue_size.function && !find(module, "SimpleQueue", "qsize", queue_size)) return PyErr_Clear();
    const bool wakes = Patch<put_item, 0>::install(module, "SimpleQueue", "put") &&
                       Patch<put_item, 1>::install(module, "SimpleQueue", "put_nowait");
    or_leave(wakes && Patch<get_item>::install(module, "SimpleQueue", "get"));
}

}  // namespace stdlib

bool install_stdlib_threads() {
    PyObject* module = import_module("_thread");
    const bool installed = module && stdlib::Patch<stdlib::join_thread>::install(module, "_ThreadHandle", "join");
    Py_XDECREF(module);
    return installed;
}

}  // namespace smarm
