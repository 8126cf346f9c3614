#include "runtime/main_signals.h"

#include <csignal>
#include <string_view>
#include <utility>

#include "cpython/method_patch.h"
#include "runtime/python_signals.h"
#include "smarm/interp/code_owner.h"
#include "smarm/interp/imports.h"
#include "smarm/interp/interpreter_state.h"
#include "smarm/interp/py_actor.h"
#include "smarm/interp/requested_exception.h"
#include "smarm/runtime/runtime.h"
#include "smarm/runtime/signals.h"
#include "smarm/sched/worker.h"

namespace smarm {
namespace {

// Whose handlers of SIGINT cancel what an event loop runs.
constexpr std::string_view kAsyncio = "asyncio.runners";
constexpr std::string_view kTrio = "trio._core._ki";

PyObject* terminate_handler = nullptr;  // immortal: the program may keep it
bool loop_told = false;                 // to end, by an earlier SIGTERM
bool runner_told = false;               // asyncio's, and it has not put the handler of SIGINT back yet

// Raises the exception (stolen) in the main actor: here, if it is the one that runs, else as a request.
PyObject* raise_in_main(PyObject* exception) {
    if (!exception) return nullptr;
    Runtime& runtime = *Runtime::current();
    if (!runtime.runs_main()) {
        runtime.request_in_main(exception);
        Py_RETURN_NONE;
    }
    runtime.end_watch().told();
    watch_lost_exceptions();
    mark_requested(*static_cast<PyActor*>(this_actor()), exception);
    PyErr_SetRaisedException(exception);
    return nullptr;
}

// The C function of signal.default_int_handler.
PyObject* on_interrupt(const stdlib::Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                       PyObject* names) {
    SignalWatch::handled();
    Runtime* runtime = Runtime::current();
    // A runtime of another thread leaves the process's main thread as it is.
    if (!runtime || !this_worker()) return original.call(self, values, count, names);
    if (runtime->runs_main()) {
        runtime->end_watch().told();
        return original.call(self, values, count, names);
    }
    return raise_in_main(PyObject_CallNoArgs(PyExc_KeyboardInterrupt));
}

// The C function of signal.signal: a handler that is put back gets our C handler back with it, which knows what a
// second signal means.
PyObject* on_set_handler(const stdlib::Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                         PyObject* names) {
    PyObject* result = original.call(self, values, count, names);
    if (!result || !Runtime::current() || count != 2) return result;
    const long number = PyLong_AsLong(values[0]);
    drop_exception();
    if (number == SIGTERM && values[1] == terminate_handler) SignalWatch::retake(SIGTERM);
    if (number != SIGINT || !has_default_handler(SIGINT)) return result;
    SignalWatch::retake(SIGINT);
    // asyncio.Runner is about to return, or to raise what means Ctrl-C: programs go on after both.
    if (std::exchange(runner_told, false))
        Py_SETREF(result, raise_in_main(PyObject_CallNoArgs(interpreter_state()->actor_exit)));
    return result;
}

// The C function of signal.set_wakeup_fd: the watching thread passes on to the program's descriptor what it hears
// itself.
PyObject* on_set_wake_up(const stdlib::Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                         PyObject* names) {
    PyObject* result = original.call(self, values, count, names);  // checks it, too
    const int ours = SignalWatch::wake_up_descriptor();
    if (!result || ours < 0) return result;
    Py_DECREF(result);
    PyObject* quietly = Py_BuildValue("(s)", "warn_on_full_buffer");
    PyObject* descriptor = PyLong_FromLong(ours);
    PyObject* const again[] = {descriptor, Py_False};
    result = quietly && descriptor ? original.call(self, again, 1, quietly) : nullptr;
    Py_XDECREF(descriptor);
    Py_XDECREF(quietly);
    if (!result) return nullptr;
    Py_DECREF(result);
    return PyLong_FromLong(SignalWatch::pass_on_to(static_cast<int>(PyLong_AsLong(values[0]))));
}

// Whether Python's handler of SIGINT is defined in the module, perhaps in a functools.partial.
bool is_defined_in(PyObject* handler, std::string_view module_name) {
    PyObject* function = PyObject_GetAttrString(handler, "func");
    if (!function) {
        drop_exception();
        function = Py_NewRef(handler);
    }
    PyObject* module = PyObject_GetAttrString(function, "__module__");
    const bool same = module && PyUnicode_Check(module) && text_of(module) == module_name;
    drop_exception();
    Py_XDECREF(module);
    Py_DECREF(function);
    return same;
}

// Python's handler of SIGTERM: (number, frame).
PyObject* on_terminate(PyObject*, PyObject* arguments) {
    SignalWatch::handled();
    if (!Runtime::current() || PyTuple_GET_SIZE(arguments) != 2) Py_RETURN_NONE;
    SignalWatch::note_termination();
    PyObject* interrupt = std::exchange(loop_told, true) ? nullptr : current_handler(SIGINT);
    PyObject* result = nullptr;
    if (interrupt && is_defined_in(interrupt, kAsyncio)) {
        runner_told = true;
        Runtime::current()->end_watch().told();
        result = PyObject_CallFunction(interrupt, "iO", SIGINT, PyTuple_GET_ITEM(arguments, 1));
        // which gives it to its main task: see stdlib/event_loop.h
    } else if (interrupt && is_defined_in(interrupt, kTrio)) {
        Runtime::current()->request_in_main(PyObject_CallNoArgs(interpreter_state()->actor_exit));
        result = Py_NewRef(Py_None);
    } else {
        result = raise_in_main(PyObject_CallNoArgs(interpreter_state()->actor_exit));
    }
    Py_XDECREF(interrupt);
    return result;
}

PyMethodDef terminate_definition = {"smarm_terminate_handler", on_terminate, METH_VARARGS, nullptr};

}  // namespace

bool install_main_signals() {
    if (!terminate_handler && !(terminate_handler = PyCFunction_New(&terminate_definition, nullptr))) return false;
    PyObject* module = import_module("_signal");
    const bool installed = module && stdlib::Patch<on_interrupt>::install(module, nullptr, "default_int_handler") &&
                           stdlib::Patch<on_set_handler>::install(module, nullptr, "signal") &&
                           stdlib::Patch<on_set_wake_up>::install(module, nullptr, "set_wakeup_fd");
    Py_XDECREF(module);
    return installed;
}

MainSignals take_main_signals() {
    loop_told = runner_told = false;
    return {.interrupt = has_default_handler(SIGINT),
            .terminate = has_default_handler(SIGTERM) && replace_default_handler(SIGTERM, terminate_handler)};
}

void give_back_main_signals() { put_back_default_handler(SIGTERM, terminate_handler); }

void run_signal_handlers() {
    SignalWatch::handled();
    if (PyErr_CheckSignals() != 0) Runtime::current()->request_in_main(PyErr_GetRaisedException());
}

}  // namespace smarm
