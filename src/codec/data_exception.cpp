// How exceptions are made: by the built-in class that theirs comes from, from arguments of which it calls nothing.
#include "codec/data.h"
#include "smarm/interp/requested_exception.h"

namespace smarm::codec {
namespace {

constexpr const char* kOwnPickling =
    "it says itself how its objects are taken apart or put together (__reduce__, __setstate__, ...); "
    "smarm.register_codec() it";
constexpr const char* kException = "it comes from an exception class of an extension module; smarm.register_codec() it";

bool is_leaf(PyObject* value) {
    PyTypeObject* type = Py_TYPE(value);
    return value == Py_None || type == &PyBool_Type || type == &PyLong_Type || type == &PyUnicode_Type ||
           type == &PyBytes_Type || type == &PyFloat_Type;
}

bool are_leaves(PyObject* values) {
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(values); ++index) {
        if (!is_leaf(PyTuple_GET_ITEM(values, index))) return false;
    }
    return true;
}

// Whether a group may ask if it is an Exception: one that is none is asked for its __class__.
bool is_plain_exception(PyObject* object) {
    PyTypeObject* type = Py_TYPE(object);
    if (!PyExceptionInstance_Check(object)) return false;
    if (PyType_IsSubtype(type, reinterpret_cast<PyTypeObject*>(PyExc_Exception))) return true;
    Handle name(PyUnicode_InternFromString("__class__"));
    return name && type->tp_getattro == PyObject_GenericGetAttr && is_inherited(type, &PyBaseObject_Type, name.get());
}

bool are_group_arguments(PyObject* arguments) {
    if (PyTuple_GET_SIZE(arguments) != 2 || !PyUnicode_CheckExact(PyTuple_GET_ITEM(arguments, 0))) return false;
    PyObject* exceptions = PyTuple_GET_ITEM(arguments, 1);
    if (!PyTuple_CheckExact(exceptions) && !PyList_CheckExact(exceptions)) return false;
    for (Py_ssize_t index = 0; index < PySequence_Fast_GET_SIZE(exceptions); ++index) {
        if (!is_plain_exception(PySequence_Fast_GET_ITEM(exceptions, index))) return false;
    }
    return true;
}

// (text, (file, line, ...)): the second is unpacked.
bool are_syntax_arguments(PyObject* arguments) {
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(arguments); ++index) {
        PyObject* argument = PyTuple_GET_ITEM(arguments, index);
        if (!is_leaf(argument) && !(index == 1 && PyTuple_CheckExact(argument) && are_leaves(argument))) return false;
    }
    return true;
}

// Those of UnicodeEncodeError and UnicodeDecodeError are (encoding, object, start, end, reason), of
// UnicodeTranslateError without the encoding. CPython trusts the two numbers when it makes a text of the error.
template <bool decode, bool translate>
bool are_unicode_arguments(PyObject* arguments) {
    const Py_ssize_t first = translate ? 0 : 1;
    if (PyTuple_GET_SIZE(arguments) != first + 4) return false;
    PyObject* object = PyTuple_GET_ITEM(arguments, first);
    PyObject* start = PyTuple_GET_ITEM(arguments, first + 1);
    PyObject* end = PyTuple_GET_ITEM(arguments, first + 2);
    if (decode ? !PyBytes_CheckExact(object) : !PyUnicode_CheckExact(object)) return false;
    if (!PyLong_CheckExact(start) || !PyLong_CheckExact(end)) return false;
    const Py_ssize_t length = decode ? PyBytes_GET_SIZE(object) : PyUnicode_GET_LENGTH(object);
    const Py_ssize_t from = PyLong_AsSsize_t(start);
    const Py_ssize_t to = PyLong_AsSsize_t(end);
    if (PyErr_Occurred()) return drop_exception(), false;
    return from >= 0 && from <= to && to <= length && PyUnicode_CheckExact(PyTuple_GET_ITEM(arguments, first + 3)) &&
           (translate || PyUnicode_CheckExact(PyTuple_GET_ITEM(arguments, 0)));
}

// The built-in classes with a constructor of their own, the more special ones first.
struct Constructor {
    PyObject* type;
    bool (*takes)(PyObject* arguments);  // nullptr: anything
};

// Returns nullptr in `type` for a class that has another constructor than those of CPython.
Constructor constructor_of(PyTypeObject* base) {
    const Constructor constructors[] = {
        {PyExc_UnicodeDecodeError, are_unicode_arguments<true, false>},
        {PyExc_UnicodeEncodeError, are_unicode_arguments<false, false>},
        {PyExc_UnicodeTranslateError, are_unicode_arguments<false, true>},
        {PyExc_BaseExceptionGroup, are_group_arguments},
        {PyExc_SyntaxError, are_syntax_arguments},
        {PyExc_OSError, are_leaves},  // it looks an errno up, and takes any number
        {PyExc_StopIteration, nullptr},
        {PyExc_SystemExit, nullptr},
        {PyExc_ImportError, nullptr},
        {PyExc_NameError, nullptr},
        {PyExc_AttributeError, nullptr},
        {PyExc_MemoryError, nullptr},
        {PyExc_BaseException, nullptr},
    };
    for (const Constructor& known : constructors) {
        auto* type = reinterpret_cast<PyTypeObject*>(known.type);
        const bool same = base->tp_new == type->tp_new && base->tp_init == type->tp_init;
        if (same && PyType_IsSubtype(base, type)) return known;
    }
    return {nullptr, nullptr};
}

}  // namespace

DataClass look_at_exception(Cache& cache, PyTypeObject* type) {
    auto* root = reinterpret_cast<PyTypeObject*>(PyExc_BaseException);
    DataClass found;
    PyTypeObject* base = builtin_base(type);
    PyObject* reduce = find_in_class(type, cache.reduce_name.get());
    const bool built_in = reduce && Py_IS_TYPE(reduce, &PyMethodDescr_Type) &&
                          is_inherited(type, base, cache.reduce_name.get()) &&
                          is_inherited(type, &PyBaseObject_Type, cache.reduce_ex_name.get());
    const Constructor constructor = constructor_of(base);
    if (!built_in || !is_inherited(type, root, cache.set_state_name.get())) found.why = kOwnPickling;
    else if (!has_visible_state(type, base)) found.why = kHiddenState;
    else if (!constructor.type) found.why = kException;
    else found.kind = DataKind::exception;
    found.reduce = reduce;
    found.takes = constructor.takes;
    return found;
}

bool is_exception_field(PyTypeObject* type, PyObject* name, PyObject* value) {
    const bool named = PyType_IsSubtype(type, reinterpret_cast<PyTypeObject*>(PyExc_ImportError)) ||
                       PyType_IsSubtype(type, reinterpret_cast<PyTypeObject*>(PyExc_AttributeError));
    return named && find_slot(type, name) && (value == Py_None || PyUnicode_CheckExact(value));
}

PyTypeObject* builtin_base(PyTypeObject* type) {
    while (PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)) type = type->tp_base;
    return type;
}

}  // namespace smarm::codec
