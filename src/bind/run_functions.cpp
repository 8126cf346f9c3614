#include "bind/run_functions.h"

#include <cerrno>

#include "bind/run_options.h"
#include "smarm/interp/interpreter_state.h"
#include "smarm/interp/pid_type.h"
#include "smarm/runtime/interpreter_pool.h"
#include "smarm/runtime/runtime.h"
#include "smarm/runtime/signals.h"
#include "smarm/sched/signals.h"

namespace smarm::bind {
namespace {

// _run(main, arguments, config, main_by_value): config is a dict that pylib/smarm/_config.py has checked.
PyObject* run(PyObject*, PyObject* arguments) {
    PyObject* main = nullptr;
    PyObject* main_arguments = nullptr;
    PyObject* options = nullptr;
    RuntimeConfig config{};
    int main_by_value = 0;
    if (!PyArg_ParseTuple(arguments, "OO!O!p:_run", &main, &PyTuple_Type, &main_arguments, &PyDict_Type, &options,
                          &main_by_value) ||
        !read_run_options(options, config))
        return nullptr;
    config.main_by_value = main_by_value != 0;
    return Runtime::run(config, main, main_arguments);
}

// The next ones are for smarm.run() inside smarm-host: see pylib/smarm/_host.py.

PyObject* is_main_actor(PyObject*, PyObject*) {
    Actor* actor = this_actor();
    return PyBool_FromLong(actor && actor->pid == Runtime::current()->main_pid());
}

// _reconfigure(workers, shutdown_timeout, spin): false when it is too late for that.
PyObject* reconfigure(PyObject*, PyObject* arguments) {
    unsigned workers = 0;
    double shutdown_seconds = 0;
    double spin_seconds = 0;
    if (!PyArg_ParseTuple(arguments, "Idd:_reconfigure", &workers, &shutdown_seconds, &spin_seconds)) return nullptr;
    return PyBool_FromLong(
        Runtime::current()->reconfigure(workers, from_seconds(shutdown_seconds), from_seconds(spin_seconds)));
}

PyObject* request_exit(PyObject*, PyObject* pid) {
    if (!is_pid(*interpreter_state(), pid)) return PyErr_Format(PyExc_TypeError, "_request_exit() needs a Pid");
    Scheduler& scheduler = Runtime::current()->scheduler();
    return PyBool_FromLong(cancel(scheduler, pid_value(pid), scheduler.options().interrupt_after));
}

// Of the main interpreter, for pylib/smarm/_worker.py: those that are kept end now. close: and none is kept any more.
PyObject* end_kept_interpreters(PyObject*, PyObject* close) {
    if (PyObject_IsTrue(close) == 1) InterpreterPool::close();
    else InterpreterPool::end_idle();
    Py_RETURN_NONE;
}

// For the command smarm, see pylib/smarm/_command.py.
// _request_dump(pid, fd): raises ProcessLookupError when that is no smarm program that runs.
PyObject* request_dump(PyObject*, PyObject* arguments) {
    int pid = 0;
    int fd = 0;
    if (!PyArg_ParseTuple(arguments, "ii:_request_dump", &pid, &fd)) return nullptr;
    errno = SignalWatch::request_dump(pid, fd);
    if (errno != 0) return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

}  // namespace

PyMethodDef run_functions[] = {
    {"_run", run, METH_VARARGS, nullptr},
    {"_is_main_actor", is_main_actor, METH_NOARGS, nullptr},
    {"_reconfigure", reconfigure, METH_VARARGS, nullptr},
    {"_request_exit", request_exit, METH_O, nullptr},
    {"_end_kept_interpreters", end_kept_interpreters, METH_O, nullptr},
    {"_request_dump", request_dump, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace smarm::bind
