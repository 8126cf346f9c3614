// Raising at the target of a jump: an event of sys.monitoring for the instructions of one code object, for as long as
// one of them takes. The pending call that sets it returns to the jump, whose target is the next instruction of the
// same frame.
#include <utility>

#include "cpython/code_position.h"
#include "cpython/py_compat.h"
#include "smarm/interp/safe_point.h"
#include "smarm/sched/worker.h"

namespace smarm {
namespace {

// The numbers 0, 1, 2 and 5 are by convention a debugger's, coverage's, a profiler's and an optimiser's.
constexpr int kTools[] = {4, 3, 5, 2, 1, 0};

// One per worker at most: nothing else runs there before the event comes, or another replaces it.
struct Watch {
    PyCodeObject* code = nullptr;  // owned
    const PyThreadState* state = nullptr;
    int target = -1;
    int tool = -1;
    bool (*raise)() = nullptr;
};
thread_local Watch watch __attribute__((tls_model("initial-exec")));

PyObject* monitoring() noexcept { return PySys_GetObject("monitoring"); }  // borrowed

// sys.monitoring.<name>(...). Steals `arguments`. The exception of a failed call is dropped.
bool call(const char* name, PyObject* arguments) {
    PyObject* function = arguments ? PyObject_GetAttrString(monitoring(), name) : nullptr;
    PyObject* result = function ? PyObject_CallObject(function, arguments) : nullptr;
    const bool done = result != nullptr;
    if (!done) PyErr_Clear();
    Py_XDECREF(result);
    Py_XDECREF(function);
    Py_XDECREF(arguments);
    return done;
}

long instruction_event() {
    PyObject* events = PyObject_GetAttrString(monitoring(), "events");
    PyObject* event = events ? PyObject_GetAttrString(events, "INSTRUCTION") : nullptr;
    const long number = event ? PyLong_AsLong(event) : 0;
    PyErr_Clear();
    Py_XDECREF(event);
    Py_XDECREF(events);
    return number;
}

void end_watch() {
    Watch ended = std::exchange(watch, {});
    if (!ended.code) return;
    auto* code = reinterpret_cast<PyObject*>(ended.code);
    call("set_local_events", Py_BuildValue("(iOi)", ended.tool, code, 0));
    call("register_callback", Py_BuildValue("(ilO)", ended.tool, instruction_event(), Py_None));
    call("free_tool_id", Py_BuildValue("(i)", ended.tool));
    Py_DECREF(code);
}

// The event's callback: (code, offset).
PyObject* at_instruction(PyObject*, PyObject* arguments) {
    PyObject* code = nullptr;
    int offset = -1;
    if (!PyArg_ParseTuple(arguments, "Oi", &code, &offset)) return nullptr;
    const bool there = watch.state == PyThreadState_GetUnchecked() && offset == watch.target &&
                       code == reinterpret_cast<PyObject*>(watch.code);
    bool (*raise)() = watch.raise;
    end_watch();  // whoever came first: the request is tried again
    if (there && !raise()) return nullptr;
    Py_RETURN_NONE;
}

PyMethodDef callback_definition = {"smarm_jump_target", at_instruction, METH_VARARGS, nullptr};

int take_tool() {
    for (const int tool : kTools) {
        if (call("use_tool_id", Py_BuildValue("(is)", tool, "smarm"))) return tool;
    }
    return -1;
}

}  // namespace

bool raise_at_jump_target(PyThreadState* state, bool (*raise)()) {
    end_watch();
    PyCodeObject* code = nullptr;
    int offset = -1;
    if (!monitoring() || !smarm_current_code(state, &code, &offset)) return false;
    const int tool = take_tool();
    if (tool < 0) return Py_DECREF(code), false;
    watch = {code, state, find_position(code, offset).target, tool, raise};
    PyObject* callback = PyCFunction_New(&callback_definition, nullptr);
    const long event = instruction_event();
    const bool set = callback && call("register_callback", Py_BuildValue("(ilO)", tool, event, callback)) &&
                     call("set_local_events", Py_BuildValue("(iOl)", tool, reinterpret_cast<PyObject*>(code), event));
    Py_XDECREF(callback);
    if (!set) end_watch();
    return set;
}

}  // namespace smarm
