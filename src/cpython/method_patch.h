// method_patch.h: replacing C functions of the standard library for actors.
//
// What:    a Patch names a function or method of a C module; install() finds its PyMethodDef, which is static data
//          shared by all interpreters, and puts our function in. Whatever convention CPython has chosen (ml_flags), and
//          it changes its mind between versions, the handler sees a fast call with keywords, and call() repeats any
//          such call on the function that was there before.
// Holds:   in 3.13, 3.14 and 3.15 method_vectorcall_*, cfunction_vectorcall_* and the specialised
//          CALL_METHOD_DESCRIPTOR_* and CALL_BUILTIN_* instructions all read ml_meth at each call, and inline caches
//          keep the descriptor, not the function. Only the optimiser of 3.15's JIT copies it into a trace: these are
//          thrown away.
// Threads: install with the main interpreter attached; the rest from any attached thread. Originals are written before
//          the first pointer is replaced, and never again.
#pragma once

#include <Python.h>

#include <span>

namespace smarm::stdlib {

// What was there before.
struct Original {
    PyMethodDef* definition = nullptr;
    PyCFunction function = nullptr;
    int flags = 0;

    PyObject* call(PyObject* self, PyObject* const* values, Py_ssize_t count, PyObject* names = nullptr) const;
};

// Finds the method that is there now. False with an exception set.
bool find(PyObject* module, const char* type, const char* name, Original& original);

using Handler = PyObject* (*)(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                              PyObject* names);

namespace detail {

// The conventions: what CPython calls, and what becomes of the call.
PyObject* from_tuple(Handler handler, const Original& original, PyObject* self, PyObject* tuple, PyObject* dict);

}  // namespace detail

// A function to replace.
struct Replacement {
    const char* type;  // nullptr: a function of the module
    const char* name;
    Original* original;                // written
    PyCFunction (*choose)(int flags);  // our function for a convention; nullptr: none
};

// Replaces all, or none: false with an exception set when this Python lacks one of the functions, or calls it in a way
// that we do not know. What has been replaced before stays as it is.
bool replace_all(PyObject* module, std::span<const Replacement> replacements);

// `which` tells apart the functions that share a handler.
template <Handler handler, int which = 0>
class Patch {
public:
    static Replacement replacement(const char* type, const char* name) { return {type, name, &original_, choose}; }
    static bool install(PyObject* module, const char* type, const char* name) {
        const Replacement one[] = {replacement(type, name)};
        return replace_all(module, one);
    }

private:
    static PyObject* no_arguments(PyObject* self, PyObject*) { return handler(original_, self, nullptr, 0, nullptr); }
    static PyObject* one_object(PyObject* self, PyObject* object) {
        return handler(original_, self, &object, 1, nullptr);
    }
    static PyObject* tuple(PyObject* self, PyObject* values) {
        return detail::from_tuple(handler, original_, self, values, nullptr);
    }
    static PyObject* tuple_and_dict(PyObject* self, PyObject* values, PyObject* dict) {
        return detail::from_tuple(handler, original_, self, values, dict);
    }
    static PyObject* fast(PyObject* self, PyObject* const* values, Py_ssize_t count) {
        return handler(original_, self, values, count, nullptr);
    }
    static PyObject* fast_with_names(PyObject* self, PyObject* const* values, Py_ssize_t count, PyObject* names) {
        return handler(original_, self, values, count, names && PyTuple_GET_SIZE(names) ? names : nullptr);
    }
    static PyObject* method(PyObject* self, PyTypeObject*, PyObject* const* values, Py_ssize_t count, PyObject* names) {
        return handler(original_, self, values, count, names && PyTuple_GET_SIZE(names) ? names : nullptr);
    }
    // SAFETY: CPython calls ml_meth with the signature that ml_flags names, whatever its type says.
    template <class Function>
    static PyCFunction as_c_function(Function function) {
        return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
    }
    static PyCFunction choose(int flags) {
        switch (flags) {
            case METH_NOARGS: return no_arguments;
            case METH_O: return one_object;
            case METH_VARARGS: return tuple;
            case METH_VARARGS | METH_KEYWORDS: return as_c_function(tuple_and_dict);
            case METH_FASTCALL: return as_c_function(fast);
            case METH_FASTCALL | METH_KEYWORDS: return as_c_function(fast_with_names);
            case METH_METHOD | METH_FASTCALL | METH_KEYWORDS: return as_c_function(method);
            default: return nullptr;
        }
    }
    static inline Original original_;
};

}  // namespace smarm::stdlib
