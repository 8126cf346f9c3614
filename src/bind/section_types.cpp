#include "bind/section_types.h"

#include "bind/arguments.h"
#include "bind/native_object.h"
#include "smarm/interp/errors.h"
#include "smarm/interp/point.h"
#include "smarm/interp/py_actor.h"
#include "smarm/sched/scheduler.h"

namespace smarm::bind {
namespace {

struct Shielded {
    static constexpr const char* name = "shield";
    static bool begin(PyActor& actor) {
        if (actor.requests.raise_shield()) return true;
        raise_error("ConfigError", "shield() sections are nested more than 255 deep");
        return false;
    }
    static void end(PyActor& actor) noexcept { actor.requests.lower_shield(); }
    // What ends the actor takes effect at the end of the outermost section; the end of a block waits for the next
    // point.
    static bool after(PyActor& actor) { return actor.requests.first() == Request::scope || pass_point(actor); }
};

struct Unpreempted {
    static constexpr const char* name = "no_preempt";
    static bool begin(PyActor& actor) {
        actor.enter_no_preempt();
        return true;
    }
    static void end(PyActor& actor) noexcept { actor.leave_no_preempt(); }
    static bool after(PyActor&) { return true; }
};

struct SectionObject {
    PyObject_HEAD Pid owner;
    unsigned depth;  // how often the owner is in it
};

SectionObject& as_section(PyObject* self) { return *reinterpret_cast<SectionObject*>(self); }

template <class Section>
bool is_callers(const SectionObject& section, const Worker& worker) {
    if (section.owner == worker.current()->pid) return true;
    PyErr_Format(PyExc_RuntimeError, "actor <pid %u.%u> is in this %s: make another for another actor",
                 section.owner.index, section.owner.generation, Section::name);
    return false;
}

template <class Section>
PyObject* section_new(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
    if (!takes_nothing(type, arguments, keywords)) return nullptr;
    auto* self = PyObject_New(SectionObject, type);
    if (!self) return nullptr;
    self->owner = Pid{};
    self->depth = 0;
    return reinterpret_cast<PyObject*>(self);
}

template <class Section>
PyObject* section_enter(PyObject* self, PyObject*) {
    SectionObject& section = as_section(self);
    Worker* worker = require_actor(Section::name);
    if (!worker || (section.depth > 0 && !is_callers<Section>(section, *worker))) return nullptr;
    if (!Section::begin(static_cast<PyActor&>(*worker->current()))) return nullptr;
    section.owner = worker->current()->pid;
    ++section.depth;
    Py_RETURN_NONE;
}

template <class Section>
PyObject* section_exit(PyObject* self, PyObject* const*, Py_ssize_t) {
    SectionObject& section = as_section(self);
    Worker* worker = require_actor(Section::name);
    if (!worker) return nullptr;
    if (section.depth == 0)
        return PyErr_Format(PyExc_RuntimeError, "the block of this %s has not begun, or has ended", Section::name);
    if (!is_callers<Section>(section, *worker)) return nullptr;
    --section.depth;
    auto& actor = static_cast<PyActor&>(*worker->current());
    Section::end(actor);
    return Section::after(actor) ? Py_NewRef(Py_None) : nullptr;
}

// Entered by hand, or by a generator: nobody is left who could leave it. A thread that runs no actor leaves it as it
// is: it must not touch an actor.
template <class Section>
void section_dealloc(PyObject* self) {
    SectionObject& section = as_section(self);
    Worker* worker = section.depth > 0 ? this_worker() : nullptr;
    Actor* owner = worker ? worker->scheduler().table().own(section.owner) : nullptr;
    for (; owner && section.depth > 0; --section.depth) Section::end(static_cast<PyActor&>(*owner));
    PyTypeObject* type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

template <class Section>
PyMethodDef section_methods[] = {
    {"__enter__", section_enter<Section>, METH_NOARGS, nullptr},
    {"__exit__", SMARM_POSITIONAL_METHOD(section_exit<Section>), nullptr},
    {nullptr, nullptr, 0, nullptr},
};

template <class Section>
bool add_type(PyObject* module, const char* name, const char* documentation) {
    PyType_Slot slots[] = {
        {Py_tp_doc, const_cast<char*>(documentation)},
        {Py_tp_dealloc, reinterpret_cast<void*>(section_dealloc<Section>)},
        {Py_tp_new, reinterpret_cast<void*>(section_new<Section>)},
        {Py_tp_methods, section_methods<Section>},
        {0, nullptr},
    };
    PyType_Spec spec = {name, sizeof(SectionObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, slots};
    auto* type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
    const bool added = type && PyModule_AddType(module, type) == 0;
    Py_XDECREF(type);
    return added;
}

}  // namespace

bool add_section_types(PyObject* module) {
    return add_type<Shielded>(module, "smarm.shield",
                              "shield()\n--\n\n`with smarm.shield():` holds exit requests and kill back until the "
                              "block ends; nests.\n\nFor cleanup that has to park.") &&
           add_type<Unpreempted>(
               module, "smarm.no_preempt",
               "no_preempt()\n--\n\n`with smarm.no_preempt():` keeps the worker until the block ends or parks by "
               "itself; nests.\n\nFor short sections that must not be seen half done by other actors of this worker.  "
               "A block that lasts longer than\nstall_threshold while others wait is reported.  What is requested of "
               "the "
               "actor is delivered at a wait in it; when it\ncomputes, after the run's kill_patience, when it holds no "
               "longer.");
}

}  // namespace smarm::bind
