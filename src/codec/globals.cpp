#include "codec/globals.h"
#include "smarm/interp/imports.h"
#include "smarm/interp/requested_exception.h"

namespace smarm::codec {
namespace {

bool in_main_interpreter() { return PyInterpreterState_Get() == PyInterpreterState_Main(); }

// Returns the program's script as a module; a worker that has not loaded it yet does so now.
Handle find_main(Cache& cache) {
    Handle module(PyImport_GetModule(cache.main_name.get()));
    if (!module && PyErr_Occurred()) return {};
    if (in_main_interpreter()) {
        if (!module) PyErr_SetString(PyExc_ImportError, "there is no module __main__");
        return module;
    }
    if (module) {
        int loaded = PyObject_HasAttrWithError(module.get(), cache.main_loaded.get());
        if (loaded < 0) return {};
        if (loaded) return module;
    }
    Handle loader(import_module("smarm._main"));
    if (!loader) return {};
    return Handle(PyObject_CallMethod(loader.get(), "load", nullptr));
}

// Returns the module of sys.modules in which `name` is `object`, or an empty handle without an exception.
Handle search_modules(Cache& cache, PyObject* object, PyObject* name) {
    PyObject* modules = PyImport_GetModuleDict();  // borrowed
    Handle names(PyMapping_Keys(modules));
    if (!names) return {};
    for (Py_ssize_t index = 0; index < PyList_GET_SIZE(names.get()); ++index) {
        Handle module_name = Handle::share(PyList_GET_ITEM(names.get(), index));
        if (!PyUnicode_CheckExact(module_name.get()) || is_main(cache, module_name.get())) continue;
        Handle module(PyImport_GetModule(module_name.get()));
        Handle found;
        if (module && PyObject_GetOptionalAttr(module.get(), name, found.out()) > 0 && found.get() == object) {
            return module_name;
        }
        if (PyErr_Occurred()) {
            // A module whose __getattr__ fails is not the one.
            if (!PyErr_ExceptionMatches(PyExc_Exception)) return {};
            drop_exception();
        }
    }
    return {};
}

}  // namespace

bool is_main(const Cache& cache, PyObject* module_name) {
    return PyUnicode_Compare(module_name, cache.main_name.get()) == 0 ||
           PyUnicode_Compare(module_name, cache.main_alias.get()) == 0;
}

Handle find_module(Cache& cache, PyObject* name) {
    if (is_main(cache, name)) return find_main(cache);
    // Waits for a module that another actor is importing.
    Handle module(PyImport_GetModule(name));
    if (module || PyErr_Occurred()) return module;
    if (!Handle(PyImport_ImportModuleLevelObject(name, nullptr, nullptr, nullptr, 0))) return {};
    module = Handle(PyImport_GetModule(name));
    if (!module && !PyErr_Occurred()) PyErr_Format(PyExc_ImportError, "%U is not in sys.modules", name);
    return module;
}

// find_global, once.
static Handle look_up(Cache& cache, PyObject* module_name, PyObject* qualified_name) {
    Handle found = find_module(cache, module_name);
    if (!found) return {};
    Py_ssize_t length = PyUnicode_GET_LENGTH(qualified_name);
    Py_ssize_t dot = PyUnicode_FindChar(qualified_name, '.', 0, length, 1);
    if (dot < 0) return dot == -1 ? Handle(PyObject_GetAttr(found.get(), qualified_name)) : Handle();
    for (Py_ssize_t start = 0; start <= length;) {
        if (dot < 0) dot = length;
        Handle part(PyUnicode_Substring(qualified_name, start, dot));
        if (!part) return {};
        found = Handle(PyObject_GetAttr(found.get(), part.get()));
        if (!found) return {};
        start = dot + 1;
        if (start > length) break;
        dot = PyUnicode_FindChar(qualified_name, '.', start, length, 1);
        if (dot == -2) return {};
    }
    return found;
}

Handle find_global(Cache& cache, PyObject* module_name, PyObject* qualified_name) {
    Handle found = look_up(cache, module_name, qualified_name);
    if (found || !PyErr_Occurred() || !PyErr_ExceptionMatches(PyExc_AttributeError)) return found;
    // The import that this actor waited for may have been cut short by the exit of another: then it begins anew.
    drop_exception();
    return look_up(cache, module_name, qualified_name);
}

Handle module_of(Cache& cache, PyObject* object, PyObject* name) {
    Handle module;
    if (PyObject_GetOptionalAttr(object, cache.module_name.get(), module.out()) < 0) return {};
    if (module && PyUnicode_Check(module.get())) return module;
    module = search_modules(cache, object, name);
    if (!module && !PyErr_Occurred()) return Handle::share(cache.main_name.get());
    return module;
}

}  // namespace smarm::codec
