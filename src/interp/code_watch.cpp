#include "smarm/interp/code_watch.h"

#include <utility>

#include "cpython/code_position.h"
#include "cpython/py_compat.h"
#include "smarm/actor/shield.h"
#include "smarm/interp/requested_exception.h"
#include "smarm/sched/rider.h"
#include "smarm/sched/worker.h"

namespace smarm {
namespace {

// The numbers 0, 1, 2 and 5 are by convention a debugger's, coverage's, a profiler's and an optimiser's.
constexpr int kTools[] = {4, 3, 5, 2, 1, 0};
constexpr const char* kEvents[] = {"INSTRUCTION", "PY_RETURN", "PY_YIELD"};
constexpr int kAnywhere = -1;

struct Watch {
    PyCodeObject* code = nullptr;  // owned
    const PyThreadState* state = nullptr;
    long events = 0;
    int place = kAnywhere;  // or the offset of an instruction
    int tool = -1;
    bool (*raise)() = nullptr;  // null: the actor is asked to come to a safe point
};
thread_local Watch watch __attribute__((tls_model("initial-exec")));
// A watch is being set or ended: audit hooks run then, and another actor of the worker may, which must not meddle.
thread_local bool changing __attribute__((tls_model("initial-exec"))) = false;

// What is not to be interrupted, while it lives: by a request of the running actor, or by another actor's watch.
class Change {
public:
    Change() noexcept : shield_(*this_actor()) { changing = true; }
    ~Change() { changing = false; }
    Change(const Change&) = delete;
    Change& operator=(const Change&) = delete;

private:
    const Shield shield_;
};

PyObject* monitoring() noexcept { return PySys_GetObject("monitoring"); }  // borrowed

// sys.monitoring.<name>(...). Steals `arguments`. The exception of a failed call is dropped.
bool call(const char* name, PyObject* arguments) {
    PyObject* function = arguments ? PyObject_GetAttrString(monitoring(), name) : nullptr;
    PyObject* result = function ? PyObject_CallObject(function, arguments) : nullptr;
    const bool done = result != nullptr;
    if (!done) drop_exception();
    Py_XDECREF(result);
    Py_XDECREF(function);
    Py_XDECREF(arguments);
    return done;
}

// 0: there is none of that name.
long event_number(const char* name) {
    PyObject* events = PyObject_GetAttrString(monitoring(), "events");
    PyObject* event = events ? PyObject_GetAttrString(events, name) : nullptr;
    const long number = event ? PyLong_AsLong(event) : 0;
    if (!event) drop_exception();
    Py_XDECREF(event);
    Py_XDECREF(events);
    return number;
}

void register_callback(int tool, PyObject* callback) {
    for (const char* event : kEvents)
        call("register_callback", Py_BuildValue("(ilO)", tool, event_number(event), callback));
}

bool set_events(const Watch& on, long events) {
    return call("set_local_events", Py_BuildValue("(iOl)", on.tool, reinterpret_cast<PyObject*>(on.code), events));
}

int take_tool() {
    for (const int tool : kTools) {
        if (call("use_tool_id", Py_BuildValue("(is)", tool, "smarm"))) return tool;
    }
    return -1;
}

void end() {
    const Watch ended = std::exchange(watch, {});
    set_events(ended, 0);
    register_callback(ended.tool, Py_None);
    call("free_tool_id", Py_BuildValue("(i)", ended.tool));
    Py_DECREF(ended.code);
}

// The events' callback: (code, offset, ...). Other actors and other threads of the interpreter run that code, too.
PyObject* at_event(PyObject*, PyObject* arguments) {
    if (!watch.code || watch.state != PyThreadState_GetUnchecked() || PyTuple_GET_SIZE(arguments) < 2) Py_RETURN_NONE;
    const long offset = PyLong_AsLong(PyTuple_GET_ITEM(arguments, 1));
    const bool there = watch.place == kAnywhere || offset == watch.place;
    bool (*raise)() = watch.raise;
    end_watch(watch.state);  // wherever it is: the request is tried again
    if (!raise) this_worker()->rider()->request_attention();
    else if (there && !raise()) return nullptr;
    Py_RETURN_NONE;
}

PyMethodDef callback_definition = {"smarm_code_watch", at_event, METH_VARARGS, nullptr};

// Steals the code. A request is tried each millisecond, and every change makes CPython look at all code once more.
bool set_watch(Watch wanted) {
    if (watch.code == wanted.code && watch.state == wanted.state && watch.events == wanted.events && !wanted.raise)
        return Py_DECREF(wanted.code), true;
    if (changing) return Py_DECREF(wanted.code), false;
    const Change change;
    if (watch.code) end();
    if (!monitoring() || (wanted.tool = take_tool()) < 0) return Py_DECREF(wanted.code), false;
    watch = wanted;
    PyObject* callback = PyCFunction_New(&callback_definition, nullptr);
    if (callback) register_callback(watch.tool, callback);
    const bool set = callback && set_events(watch, watch.events);
    Py_XDECREF(callback);
    if (!set) {
        drop_exception();
        end();
    }
    return set;
}

}  // namespace

bool raise_at_jump_target(PyThreadState* state, bool (*raise)()) {
    if (watch.state == state && watch.raise) return end_watch(state), false;
    PyCodeObject* code = nullptr;
    int offset = -1;
    if (!smarm_current_code(state, &code, &offset)) return false;
    const int target = find_position(code, offset).target;
    return set_watch(
        {.code = code, .state = state, .events = event_number("INSTRUCTION"), .place = target, .raise = raise});
}

void ask_at_return(PyThreadState* state, PyCodeObject* code) {
    Py_INCREF(code);
    set_watch({.code = code, .state = state, .events = event_number("PY_RETURN") | event_number("PY_YIELD")});
}

void ask_when_it_goes_on(PyThreadState* state, PyCodeObject* code) {
    Py_INCREF(code);
    set_watch({.code = code, .state = state, .events = event_number("INSTRUCTION")});
}

void end_watch(const PyThreadState* state) {
    if (!watch.code || watch.state != state || changing) return;
    const Change change;
    PyObject* raised = PyErr_GetRaisedException();
    end();
    PyErr_SetRaisedException(raised);
}

}  // namespace smarm
