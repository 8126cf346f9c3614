#include "cpython/method_patch.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <new>

// Weak: exported by builds of 3.14 and 3.15 that contain the JIT, absent from others.
extern "C" void _Py_Executors_InvalidateAll(PyInterpreterState* interpreter, int is_invalidation) __attribute__((weak));

namespace smarm::stdlib {
namespace {

template <class Function>
Function as(PyCFunction function) noexcept {
    return reinterpret_cast<Function>(reinterpret_cast<void (*)()>(function));
}

PyObject* tuple_of(PyObject* const* values, Py_ssize_t count) {
    PyObject* tuple = PyTuple_New(count);
    for (Py_ssize_t i = 0; tuple && i < count; ++i) PyTuple_SET_ITEM(tuple, i, Py_NewRef(values[i]));
    return tuple;
}

// The arguments of acquire(False), which every lock is asked before an actor parks: made once.
// SAFETY: nobody counts its references: no collector (it is untracked), not we, and no function that is replaced keeps
//         the tuple that it is given (PyArg_Parse* borrows from it). So interpreters with GILs of their own can pass
//         the same one.
PyObject* false_tuple = nullptr;

bool make_false_tuple() {
    if (!false_tuple) false_tuple = PyTuple_Pack(1, Py_False);
    if (false_tuple) PyObject_GC_UnTrack(false_tuple);
    return false_tuple != nullptr;
}

PyObject* dict_of(PyObject* const* values, PyObject* names) {
    PyObject* dict = PyDict_New();
    for (Py_ssize_t i = 0; dict && i < PyTuple_GET_SIZE(names); ++i) {
        if (PyDict_SetItem(dict, PyTuple_GET_ITEM(names, i), values[i]) != 0) Py_CLEAR(dict);
    }
    return dict;
}

// The class of a C module that `self` is an instance of, perhaps by subclasses written in Python.
PyTypeObject* defining_class(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    while (type->tp_base && type->tp_base != &PyBaseObject_Type) type = type->tp_base;
    return type;
}

PyMethodDef* find_definition(PyObject* module, const char* type, const char* name) {
    PyObject* owner = type ? PyObject_GetAttrString(module, type) : Py_NewRef(module);
    PyObject* found = owner ? PyObject_GetAttrString(owner, name) : nullptr;
    PyMethodDef* definition = nullptr;
    if (found) {
        // SAFETY: the exact types say what the objects are; both hold a pointer to static data of the module.
        if (Py_IS_TYPE(found, &PyMethodDescr_Type))
            definition = reinterpret_cast<PyMethodDescrObject*>(found)->d_method;
        else if (PyCFunction_CheckExact(found)) definition = reinterpret_cast<PyCFunctionObject*>(found)->m_ml;
        if (!definition)
            PyErr_Format(PyExc_RuntimeError, "smarm cannot replace %s of %R: it is not CPython's own but %R", name,
                         module, found);
    }
    Py_XDECREF(found);
    Py_XDECREF(owner);
    return definition;
}

}  // namespace

PyObject* Original::call(PyObject* self, PyObject* const* values, Py_ssize_t count, PyObject* names) const {
    switch (flags) {
        case METH_NOARGS: return function(self, nullptr);
        case METH_O: return function(self, values[0]);
        case METH_FASTCALL: return as<PyCFunctionFast>(function)(self, values, count);
        case METH_FASTCALL | METH_KEYWORDS:
            return as<PyCFunctionFastWithKeywords>(function)(self, values, count, names);
        case METH_METHOD | METH_FASTCALL | METH_KEYWORDS:
            return as<PyCMethod>(function)(self, defining_class(self), values, count, names);
        default: break;
    }
    const bool only_false = count == 1 && values[0] == Py_False;
    PyObject* tuple = only_false ? false_tuple : tuple_of(values, count);
    if (!tuple) return nullptr;
    PyObject* result = nullptr;
    if (flags == METH_VARARGS) {
        result = function(self, tuple);
    } else {
        PyObject* dict = names ? dict_of(values + count, names) : nullptr;
        if (dict || !names) result = as<PyCFunctionWithKeywords>(function)(self, tuple, dict);
        Py_XDECREF(dict);
    }
    if (!only_false) Py_DECREF(tuple);
    return result;
}

bool find(PyObject* module, const char* type, const char* name, Original& original) {
    PyMethodDef* definition = find_definition(module, type, name);
    if (!definition) return false;
    original = {definition, definition->ml_meth, definition->ml_flags};
    return make_false_tuple();
}

namespace detail {

PyObject* from_tuple(Handler handler, const Original& original, PyObject* self, PyObject* tuple, PyObject* dict) {
    const Py_ssize_t count = PyTuple_GET_SIZE(tuple);
    PyObject* const* items = reinterpret_cast<PyTupleObject*>(tuple)->ob_item;
    if (!dict || PyDict_GET_SIZE(dict) == 0) return handler(original, self, items, count, nullptr);
    // The caller's tuple and dict keep the values alive.
    const auto all = static_cast<std::size_t>(count + PyDict_GET_SIZE(dict));
    const std::unique_ptr<PyObject*[]> values(new (std::nothrow) PyObject*[all]);
    if (!values) return PyErr_NoMemory();
    std::copy(items, items + count, values.get());
    PyObject* names = PyTuple_New(PyDict_GET_SIZE(dict));
    if (!names) return nullptr;
    PyObject* name = nullptr;
    PyObject* value = nullptr;
    Py_ssize_t position = 0;
    for (Py_ssize_t i = 0; PyDict_Next(dict, &position, &name, &value); ++i) {
        PyTuple_SET_ITEM(names, i, Py_NewRef(name));
        values[static_cast<std::size_t>(count + i)] = value;
    }
    PyObject* result = handler(original, self, values.get(), count, names);
    Py_DECREF(names);
    return result;
}

}  // namespace detail

bool replace_all(PyObject* module, std::span<const Replacement> replacements) {
    struct Found {
        Original original;
        PyCFunction replacement;
    };
    const std::unique_ptr<Found[]> all(new (std::nothrow) Found[replacements.size()]());
    if (!all) return PyErr_NoMemory(), false;
    for (std::size_t i = 0; i < replacements.size(); ++i) {
        const Replacement& one = replacements[i];
        Found& found = all[i];
        if (one.original->function) continue;
        if (!find(module, one.type, one.name, found.original)) return false;
        found.replacement = one.choose(found.original.flags);
        if (found.replacement) continue;
        PyErr_Format(PyExc_RuntimeError,
                     "smarm does not know how this Python calls %s of %R (flags 0x%x): it needs CPython 3.13 to 3.15",
                     one.name, module, found.original.flags);
        return false;
    }
    for (std::size_t i = 0; i < replacements.size(); ++i) {
        if (!all[i].replacement) continue;
        *replacements[i].original = all[i].original;
        // Release: a thread that reads the new pointer finds the original. It reads through CPython's plain load, which
        // on x86-64 is as good as an acquire.
        std::atomic_ref<PyCFunction>(all[i].original.definition->ml_meth)
            .store(all[i].replacement, std::memory_order_release);
    }
    if (_Py_Executors_InvalidateAll) _Py_Executors_InvalidateAll(PyInterpreterState_Get(), 1);
    return true;
}

}  // namespace smarm::stdlib
