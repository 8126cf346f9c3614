#include "bind/load_functions.h"

#include "smarm/sched/worker.h"

namespace smarm::bind {
namespace {

PyObject* begin_load(PyObject*, PyObject*) {
    if (Actor* actor = this_actor()) actor->requests.begin_load();
    Py_RETURN_NONE;
}

PyObject* is_loading(PyObject*, PyObject*) {
    Actor* actor = this_actor();
    return PyBool_FromLong(actor && actor->requests.loads_script());
}

PyObject* end_load(PyObject*, PyObject*) {
    if (Actor* actor = this_actor()) actor->requests.end_load();
    Py_RETURN_NONE;
}

}  // namespace

PyMethodDef load_functions[] = {
    {"_begin_load", begin_load, METH_NOARGS, nullptr},
    {"_loading", is_loading, METH_NOARGS, nullptr},
    {"_end_load", end_load, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace smarm::bind
