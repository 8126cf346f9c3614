// Finding and replacing the C functions. What makes it hold: in 3.13, 3.14 and 3.15 method_vectorcall_*, cfunction_vectorcall_*
// and the specialised CALL_METHOD_DESCRIPTOR_* and CALL_BUILTIN_* instructions all read ml_meth at each call, and inline
// caches keep the descriptor, not the function. Only the optimiser of 3.15's JIT copies it into a trace: see forget_traces.
#include "stdlib/locks_methods.h"

#include <array>
#include <atomic>
#include <utility>

// Weak: exported by builds of 3.14 and 3.15 that contain the JIT, absent from others.
extern "C" void _Py_Executors_InvalidateAll(PyInterpreterState* interpreter, int is_invalidation) __attribute__((weak));

namespace smarm::stdlib_locks {
namespace {

struct Target {
    const char* type;  // in module _thread; nullptr: a function of the module
    const char* name;
    Handler handler;  // nullptr: looked up only
};

constexpr std::array<Target, kMethodCount> kTargets = {{
    {"lock", "acquire", lock_acquire},
    {"lock", "acquire_lock", lock_acquire},
    {"lock", "__enter__", lock_acquire},
    {"lock", "release", lock_release},
    {"lock", "release_lock", lock_release},
    {"lock", "__exit__", lock_release},
    {"lock", "locked", nullptr},
    {"lock", "_at_fork_reinit", lock_at_fork_reinit},
    {"RLock", "acquire", rlock_acquire},
    {"RLock", "__enter__", rlock_acquire},
    {"RLock", "release", rlock_release},
    {"RLock", "__exit__", rlock_release},
    {"RLock", "_is_owned", rlock_is_owned},
    {"RLock", "_recursion_count", rlock_recursion_count},
    {"RLock", "_acquire_restore", rlock_acquire_restore},
    {"RLock", "_release_save", rlock_release_save},
    {"RLock", "_at_fork_reinit", rlock_at_fork_reinit},
    {nullptr, "get_ident", get_ident},
}};

// Convention by convention: C function type, and the function that turns a call into a Call.
using NoArgs = PyObject* (*)(PyObject* self, PyObject* unused);
using VarArgs = PyObject* (*)(PyObject* self, PyObject* tuple);
using VarArgsKeywords = PyObject* (*)(PyObject* self, PyObject* tuple, PyObject* dict);
using OneObject = PyObject* (*)(PyObject* self, PyObject* object);
using FastCall = PyObject* (*)(PyObject* self, PyObject* const* values, Py_ssize_t count);
using FastCallKeywords = PyObject* (*)(PyObject* self, PyObject* const* values, Py_ssize_t count, PyObject* names);

template <std::size_t index>
struct Entry {
    static constexpr Method kMethod = static_cast<Method>(index);
    static PyObject* enter(const Call& call) { return kTargets[index].handler(call); }

    static PyObject* no_args(PyObject* self, PyObject*) { return enter({.method = kMethod, .self = self}); }
    static PyObject* one_object(PyObject* self, PyObject* object) {
        return enter({.method = kMethod, .self = self, .values = &object, .count = 1});
    }
    static PyObject* var_args(PyObject* self, PyObject* tuple) { return var_args_keywords(self, tuple, nullptr); }
    static PyObject* var_args_keywords(PyObject* self, PyObject* tuple, PyObject* dict) {
        return enter({.method = kMethod,
                      .self = self,
                      .values = reinterpret_cast<PyTupleObject*>(tuple)->ob_item,
                      .count = PyTuple_GET_SIZE(tuple),
                      .tuple = tuple,
                      .keyword_dict = dict && PyDict_GET_SIZE(dict) ? dict : nullptr});
    }
    static PyObject* fast_call(PyObject* self, PyObject* const* values, Py_ssize_t count) {
        return enter({.method = kMethod, .self = self, .values = values, .count = count});
    }
    static PyObject* fast_call_keywords(PyObject* self, PyObject* const* values, Py_ssize_t count, PyObject* names) {
        return enter({.method = kMethod,
                      .self = self,
                      .values = values,
                      .count = count,
                      .keyword_names = names && PyTuple_GET_SIZE(names) ? names : nullptr});
    }

    // SAFETY: CPython calls ml_meth with the signature that ml_flags names, whatever its type says.
    template <class Function>
    static PyCFunction as_c_function(Function function) {
        return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
    }
    static PyCFunction for_flags(int flags) {
        switch (flags) {
            case METH_NOARGS: return as_c_function(no_args);
            case METH_O: return as_c_function(one_object);
            case METH_VARARGS: return as_c_function(var_args);
            case METH_VARARGS | METH_KEYWORDS: return as_c_function(var_args_keywords);
            case METH_FASTCALL: return as_c_function(fast_call);
            case METH_FASTCALL | METH_KEYWORDS: return as_c_function(fast_call_keywords);
            default: return nullptr;
        }
    }
};

template <std::size_t... index>
constexpr auto make_selectors(std::index_sequence<index...>) {
    return std::array<PyCFunction (*)(int), kMethodCount>{Entry<index>::for_flags...};
}
constexpr auto kSelectors = make_selectors(std::make_index_sequence<kMethodCount>());

struct Original {
    PyMethodDef* definition = nullptr;
    PyCFunction function = nullptr;
    int flags = 0;
};
std::array<Original, kMethodCount> originals;

// SAFETY: immortal in effect, and only ever read (PyArg_Parse* borrows from the tuple it is given), so that interpreters with
// GILs of their own can pass the same one.
PyObject* empty_tuple = nullptr;
PyObject* false_tuple = nullptr;

const Original& original_of(Method method) noexcept { return originals[static_cast<std::size_t>(method)]; }

template <class Function>
Function as(const Original& original) noexcept {
    return reinterpret_cast<Function>(reinterpret_cast<void (*)()>(original.function));
}

// The method's definition, or nullptr with an exception set. `module` is _thread.
PyMethodDef* find_definition(PyObject* module, const Target& target) {
    PyObject* owner = target.type ? PyObject_GetAttrString(module, target.type) : Py_NewRef(module);
    PyObject* found = owner ? PyObject_GetAttrString(owner, target.name) : nullptr;
    PyMethodDef* definition = nullptr;
    if (found) {
        // SAFETY: the exact types say what the objects are; both hold a pointer to static data of the _thread module.
        if (Py_IS_TYPE(found, &PyMethodDescr_Type))
            definition = reinterpret_cast<PyMethodDescrObject*>(found)->d_method;
        else if (PyCFunction_CheckExact(found)) definition = reinterpret_cast<PyCFunctionObject*>(found)->m_ml;
        if (!definition)
            PyErr_Format(PyExc_RuntimeError, "smarm cannot replace _thread's %s: it is not CPython's own but %R",
                         target.name, found);
    }
    Py_XDECREF(found);
    Py_XDECREF(owner);
    return definition;
}

bool find_originals(PyObject* module, std::array<PyCFunction, kMethodCount>& replacements) {
    for (std::size_t i = 0; i < kMethodCount; ++i) {
        const Target& target = kTargets[i];
        PyMethodDef* definition = find_definition(module, target);
        if (!definition) return false;
        originals[i] = {definition, definition->ml_meth, definition->ml_flags};
        replacements[i] = kSelectors[i](definition->ml_flags);
        if (replacements[i]) continue;
        PyErr_Format(
            PyExc_RuntimeError,
            "smarm does not know how this Python calls _thread's %s (flags 0x%x): it needs CPython 3.13 to 3.15",
            target.name, definition->ml_flags);
        return false;
    }
    return true;
}

// Traces that were compiled before now call the old functions directly.
void forget_traces() {
    if (_Py_Executors_InvalidateAll) _Py_Executors_InvalidateAll(PyInterpreterState_Get(), 1);
}

}  // namespace

PyObject* Call::original() const {
    const Original& it = original_of(method);
    switch (it.flags) {
        case METH_NOARGS: return as<NoArgs>(it)(self, nullptr);
        case METH_O: return as<OneObject>(it)(self, values[0]);
        case METH_VARARGS: return as<VarArgs>(it)(self, tuple);
        case METH_VARARGS | METH_KEYWORDS: return as<VarArgsKeywords>(it)(self, tuple, keyword_dict);
        case METH_FASTCALL: return as<FastCall>(it)(self, values, count);
        default: return as<FastCallKeywords>(it)(self, values, count, keyword_names);
    }
}

PyObject* call_original(Method method, PyObject* self, PyObject* argument) {
    const Original& it = original_of(method);
    const Py_ssize_t count = argument ? 1 : 0;
    switch (it.flags) {
        case METH_NOARGS: return as<NoArgs>(it)(self, nullptr);
        case METH_O: return as<OneObject>(it)(self, argument);
        case METH_FASTCALL: return as<FastCall>(it)(self, &argument, count);
        case METH_FASTCALL | METH_KEYWORDS: return as<FastCallKeywords>(it)(self, &argument, count, nullptr);
        default: break;
    }
    PyObject* tuple = !argument ? empty_tuple : argument == Py_False ? false_tuple : PyTuple_Pack(1, argument);
    if (!tuple) return nullptr;
    PyObject* result =
        it.flags & METH_KEYWORDS ? as<VarArgsKeywords>(it)(self, tuple, nullptr) : as<VarArgs>(it)(self, tuple);
    if (tuple != empty_tuple && tuple != false_tuple) Py_DECREF(tuple);
    return result;
}

int ask_original(Method method, PyObject* self) {
    PyObject* answer = call_original(method, self);  // True and False are immortal
    return answer ? answer == Py_True : -1;
}

int try_original(Method acquire, PyObject* self) {
    PyObject* taken = call_original(acquire, self, Py_False);
    return taken ? taken == Py_True : -1;
}

bool replace_methods() {
    PyObject* module = PyImport_ImportModule("_thread");
    if (!module) return false;
    std::array<PyCFunction, kMethodCount> replacements = {};
    bool known = find_originals(module, replacements);
    Py_DECREF(module);
    if (known && !empty_tuple) {
        empty_tuple = PyTuple_New(0);
        false_tuple = PyTuple_Pack(1, Py_False);
        known = empty_tuple && false_tuple;
        if (known)
            PyObject_GC_UnTrack(false_tuple);  // other interpreters use it: no collector may count its references
    }
    if (!known) return false;
    for (std::size_t i = 0; i < kMethodCount; ++i) {
        if (!kTargets[i].handler) continue;
        // Release: a thread that reads the new pointer finds the originals. It reads through CPython's plain load, which on
        // x86-64 is as good as an acquire.
        std::atomic_ref<PyCFunction>(originals[i].definition->ml_meth)
            .store(replacements[i], std::memory_order_release);
    }
    forget_traces();
    return true;
}

}  // namespace smarm::stdlib_locks
