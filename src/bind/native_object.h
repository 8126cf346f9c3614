// native_object.h: Python objects that are nothing but a reference to a native object which several workers may share.
//
// What:    NativeObject<Native> is the layout; the functions below are its slots. Two objects are equal when they refer
//          to the same native one: a copy that came in a message is the same Mutex. TypeOf<Native> says where its type
//          is kept and under which number the codec sends it.
// Threads: attached.
#pragma once

#include <Python.h>

#include "interp/method_table.h"
#include "smarm/base/shared.h"
#include "smarm/codec/codec.h"
#include "smarm/interp/errors.h"
#include "smarm/interp/interpreter_state.h"

namespace smarm::bind {

template <class Native>
struct NativeObject {
    PyObject_HEAD Native* native;  // owned reference
};

// Specialised: static constexpr NativeTypeIndex index; static constexpr NativeId codec_id; for new_with_count also the
// parameter's name, static constexpr const char* count_name; count_format is PyArg_Parse's, with the type's name.
template <class Native>
struct TypeOf;

inline PyTypeObject*& native_type(InterpreterState& state, NativeTypeIndex index) {
    return state.native_types[static_cast<std::size_t>(index)];
}

template <class Native>
Native& native_of(PyObject* self) {
    return *reinterpret_cast<NativeObject<Native>*>(self)->native;
}

template <class Native>
bool is_native(PyObject* object) {
    return Py_IS_TYPE(object, native_type(*interpreter_state(), TypeOf<Native>::index));
}

template <class Native>
PyObject* wrap_native(PyTypeObject* type, Ref<Native> native) {
    auto* self = PyObject_New(NativeObject<Native>, type);
    if (!self) return nullptr;
    self->native = native.release();
    return reinterpret_cast<PyObject*>(self);
}

// Makes the native object too.
template <class Native, class... Args>
PyObject* make_native(PyTypeObject* type, Args&&... args) {
    try {
        return wrap_native(type, make_shared_ref<Native>(std::forward<Args>(args)...));
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    }
}

// ---- constructors: Type() and Type(count) ---------------------------------------------------------------------------

// False with TypeError set when there are arguments.
inline bool takes_nothing(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
    if (PyTuple_GET_SIZE(arguments) == 0 && (!keywords || PyDict_GET_SIZE(keywords) == 0)) return true;
    PyErr_Format(PyExc_TypeError, "%s() takes no arguments", type->tp_name);
    return false;
}

template <class Native>
PyObject* new_without_arguments(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
    return takes_nothing(type, arguments, keywords) ? make_native<Native>(type) : nullptr;
}

// The count is at least 1.
template <class Native>
PyObject* new_with_count(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
    static const char* names[] = {TypeOf<Native>::count_name, nullptr};
    Py_ssize_t count = 0;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, TypeOf<Native>::count_format, const_cast<char**>(names),
                                     &count))
        return nullptr;
    if (count < 1)
        return PyErr_Format(PyExc_ValueError, "%s() needs at least 1 of its %s, not %zd", type->tp_name, names[0],
                            count);
    return make_native<Native>(type, static_cast<std::size_t>(count));
}

// ---- slots ----------------------------------------------------------------------------------------------------------

template <class Native>
void native_dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    native_of<Native>(self).drop_reference();
    type->tp_free(self);
    Py_DECREF(type);
}

template <class Native>
Py_hash_t native_hash(PyObject* self) {
    return Py_HashPointer(&native_of<Native>(self));
}

template <class Native>
PyObject* native_compare(PyObject* self, PyObject* other, int operation) {
    if ((operation != Py_EQ && operation != Py_NE) || !Py_IS_TYPE(other, Py_TYPE(self))) Py_RETURN_NOTIMPLEMENTED;
    return PyBool_FromLong((&native_of<Native>(self) == &native_of<Native>(other)) == (operation == Py_EQ));
}

template <class Native>
Ref<Shared> native_share(PyObject* self) {
    Native& native = native_of<Native>(self);
    native.share();
    return Ref<Native>::share(&native);
}

template <class Native>
PyObject* native_wrap(Ref<Shared> native) {
    auto* it = dynamic_cast<Native*>(native.get());
    if (!it) return raise_error("DecodeError", "a native object is of another type than the message says");
    return wrap_native<Native>(native_type(*interpreter_state(), TypeOf<Native>::index), Ref<Native>::share(it));
}

// Makes the type, adds it to the module, and makes its objects sendable. False with an exception set.
template <class Native>
bool add_sendable_type(PyObject* module, InterpreterState& state, PyType_Spec& spec) {
    PyTypeObject*& type = native_type(state, TypeOf<Native>::index);
    type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
    if (!type || PyModule_AddType(module, type) != 0) return false;
    codec_of(state).add_native_type({TypeOf<Native>::codec_id, type, native_share<Native>, native_wrap<Native>});
    return true;
}

// The slots that every such type has; methods, attributes and constructor follow.
#define SMARM_NATIVE_SLOTS(Native)                                         \
    {Py_tp_dealloc, reinterpret_cast<void*>(native_dealloc<Native>)},      \
        {Py_tp_hash, reinterpret_cast<void*>(native_hash<Native>)}, {      \
        Py_tp_richcompare, reinterpret_cast<void*>(native_compare<Native>) \
    }

}  // namespace smarm::bind
