#include "smarm/interp/pid_type.h"

#include "interp/copied_as_itself.h"

namespace smarm {
namespace {

void pid_dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    type->tp_free(self);
    Py_DECREF(type);
}

PyObject* pid_repr(PyObject* self) {
    const Pid pid = pid_value(self);
    return PyUnicode_FromFormat("<pid %u.%u>", pid.index, pid.generation);
}

Py_hash_t pid_hash(PyObject* self) {
    // A multiplicative hash: pids of one table are dense in the low bits.
    const auto hash = static_cast<Py_hash_t>(pid_value(self).bits() * 0x9E3779B97F4A7C15u >> 1);
    return hash == -1 ? -2 : hash;
}

PyObject* pid_compare(PyObject* self, PyObject* other, int operation) {
    if (!Py_IS_TYPE(other, Py_TYPE(self))) Py_RETURN_NOTIMPLEMENTED;
    const Pid left = pid_value(self);
    const Pid right = pid_value(other);
    Py_RETURN_RICHCOMPARE(left, right, operation);
}

PyObject* pid_index(PyObject* self, void*) { return PyLong_FromUnsignedLong(pid_value(self).index); }
PyObject* pid_generation(PyObject* self, void*) { return PyLong_FromUnsignedLong(pid_value(self).generation); }

PyMethodDef pid_methods[] = {SMARM_COPIED_AS_ITSELF, {nullptr, nullptr, 0, nullptr}};

PyGetSetDef pid_attributes[] = {
    {"index", pid_index, nullptr, "Slot of the actor table; used again by later actors.", nullptr},
    {"generation", pid_generation, nullptr, "How many actors have had this slot; with the index it is unique.",
     nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyType_Slot pid_slots[] = {
    {Py_tp_doc,
     const_cast<char*>("The name of one actor. Immutable, hashable, ordered, sendable; never names another actor.")},
    {Py_tp_dealloc, reinterpret_cast<void*>(pid_dealloc)},
    {Py_tp_repr, reinterpret_cast<void*>(pid_repr)},
    {Py_tp_hash, reinterpret_cast<void*>(pid_hash)},
    {Py_tp_richcompare, reinterpret_cast<void*>(pid_compare)},
    {Py_tp_methods, pid_methods},
    {Py_tp_getset, pid_attributes},
    {0, nullptr},
};

PyType_Spec pid_spec = {"smarm.Pid", sizeof(PidObject), 0,
                        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE, pid_slots};

}  // namespace

PyTypeObject* create_pid_type() { return reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&pid_spec)); }

PyObject* make_pid(Pid pid) {
    PyTypeObject* type = interpreter_state()->pid_type;
    auto* self = PyObject_New(PidObject, type);
    if (self) self->pid = pid;
    return reinterpret_cast<PyObject*>(self);
}

}  // namespace smarm
