// Where an exception from outside would leave a lock behind: after the instruction that took one, or entered a `with` block, and
// before the next, where the `try` or `with` block starts, and in the modules of the standard library that keep locks and counts by hand.
#include "smarm/interp/lock_code.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "cpython/py_compat.h"
#include "smarm/actor/actor.h"
#include "smarm/interp/imports.h"

namespace smarm {
namespace {

constexpr std::array<std::string_view, 7> kLockModules = {
    "threading.py",
    "queue.py",
    "contextlib.py",  // ExitStack: what was entered and is not yet on the stack
    "logging/__init__.py",
    "logging/handlers.py",
    "concurrent/futures/_base.py",
    "concurrent/futures/thread.py",
};
constexpr std::array<std::string_view, 2> kFrozenLockModules = {"<frozen importlib._bootstrap>",
                                                                "<frozen importlib._bootstrap_external>"};

std::string library_directory;  // with a slash; written by find_library, before any actor runs

// What took a lock last on this OS thread. Only compared, never followed.
struct Acquired {
    const PyThreadState* state = nullptr;
    const PyCodeObject* code = nullptr;
    int instruction = -1;
};
thread_local Acquired acquired __attribute__((tls_model("initial-exec")));

bool is_lock_module(PyCodeObject* code) {
    Py_ssize_t size = 0;
    const char* text = PyUnicode_AsUTF8AndSize(code->co_filename, &size);
    if (!text) {
        PyErr_Clear();
        return false;
    }
    std::string_view file(text, static_cast<std::size_t>(size));
    if (std::ranges::find(kFrozenLockModules, file) != kFrozenLockModules.end()) return true;
    if (library_directory.empty() || !file.starts_with(library_directory)) return false;
    file.remove_prefix(library_directory.size());
    return std::ranges::find(kLockModules, file) != kLockModules.end();
}

// Of threading and queue: what waits with nothing taken when it begins to take its lock. What else takes a lock there and in the other
// modules gives something back or away (Semaphore.release, Event.set), takes a lock back (Condition._acquire_restore), or has taken
// others already.
constexpr std::array<std::string_view, 9> kWaits = {
    "Condition.wait", "Condition.wait_for", "Semaphore.acquire", "Event.wait",  "Barrier.wait",
    "Queue.get",      "Queue.put",          "Queue.join",        "Thread.join",
};

std::string_view qualified_name(PyCodeObject* code) {
    const char* text = PyUnicode_AsUTF8(code->co_qualname);
    if (!text) PyErr_Clear();
    return text ? text : "";
}

// What the function that takes a lock is for, as far as that matters.
enum class Taker { program, wait, condition, other };

Taker taker(PyFrameObject* frame) {
    PyCodeObject* code = PyFrame_GetCode(frame);
    Taker result = Taker::program;
    if (is_lock_module(code)) {
        const std::string_view name = qualified_name(code);
        if (name == "Condition.__enter__") result = Taker::condition;
        else result = std::ranges::find(kWaits, name) != kWaits.end() ? Taker::wait : Taker::other;
    }
    Py_DECREF(code);
    return result;
}

// Whether whoever takes a lock now has nothing to lose: a program, or a wait of the standard library.
bool takes_lock_to_wait(PyThreadState* state) {
    PyFrameObject* frame = PyThreadState_GetFrame(state);
    Taker who = frame ? taker(frame) : Taker::program;
    if (who == Taker::condition) {  // entered by whom?
        PyFrameObject* caller = PyFrame_GetBack(frame);
        who = caller ? taker(caller) : Taker::program;
        Py_XDECREF(caller);
    }
    Py_XDECREF(frame);
    return who == Taker::program || who == Taker::wait;
}

}  // namespace

bool find_library() {
    PyObject* file = import_attribute("os", "__file__");
    const char* text = file && PyUnicode_Check(file) ? PyUnicode_AsUTF8(file) : nullptr;
    if (text) {
        library_directory = text;
        library_directory.resize(library_directory.rfind('/') + 1);
    } else if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();  // a library that is not in files: its frozen modules are known by name
    }
    Py_XDECREF(file);
    return !PyErr_Occurred();
}

bool may_cut_lock(const Actor& actor) noexcept {
    return !actor.requests.unwinds_by_kill() && takes_lock_to_wait(PyThreadState_GetUnchecked());
}

void note_acquired() noexcept {
    PyThreadState* state = PyThreadState_GetUnchecked();
    PyCodeObject* code = nullptr;
    acquired.state = state;
    if (!smarm_current_code(state, &code, &acquired.instruction)) return;
    acquired.code = code;
    Py_DECREF(code);
}

bool is_in_lock_code(PyThreadState* state) noexcept {
    PyCodeObject* code = nullptr;
    int instruction = -1;
    if (!smarm_current_code(state, &code, &instruction)) return false;
    const bool just_acquired = acquired.state == state && acquired.code == code && acquired.instruction == instruction;
    const bool result = just_acquired || smarm_enters_with(code, instruction) || is_lock_module(code);
    Py_DECREF(code);
    return result;
}

}  // namespace smarm
