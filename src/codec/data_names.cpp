// What a name in a message stands for where only data travel: looked up in dicts, so that nothing is called.
#include "codec/data.h"
#include "codec/globals.h"
#include "smarm/interp/requested_exception.h"

namespace smarm::codec {
namespace {

// Modules that a receiver may import although no message of theirs has come before: their classes are data, and
// importing them does nothing else.
constexpr const char* kKnownModules[] = {
    "datetime",
    "decimal",
    "fractions",
    "uuid",
    "zoneinfo",
    "smarm._errors",
    "smarm._server",
    "smarm._signals",
    "smarm._statistics",
    "smarm.supervision.dynamic",
    "smarm.supervision.process",
    "smarm.supervision.references",
    "smarm.supervision.specs",
    "smarm.supervision.starting",
    "smarm.supervision.static",
};

constexpr const char* kNotLoaded =
    "its module is not loaded here, and a message imports none: import it where it is received, or list it in "
    "trusted_modules";
constexpr const char* kNotFound = "it is not found there";
constexpr const char* kNotTrusted =
    "functions travel by name only when their module is listed: Runtime(trusted_modules=...)";
constexpr const char* kNoClass = "it is neither a class nor a function";

bool is_known_module(PyObject* name) {
    for (const char* known : kKnownModules) {
        if (PyUnicode_EqualToUTF8(name, known)) return true;
    }
    return false;
}

// A module that answers for its attributes with code is not looked into.
bool is_plain_module(PyObject* object) {
    return PyModule_Check(object) && Py_TYPE(object)->tp_getattro == PyModule_Type.tp_getattro;
}

// Returns the module, or nothing: `why`, or an exception is set.
Handle find_plain_module(Codec::Impl& codec, PyObject* name, bool may_import, const char** why) {
    Handle module;
    if (is_main(codec.cache, name)) {
        module = find_module(codec.cache, name);
    } else {
        PyObject* modules = PyImport_GetModuleDict();  // borrowed
        if (PyDict_CheckExact(modules) && PyDict_GetItemRef(modules, name, module.out()) < 0) return {};
        if (!module && (may_import || is_known_module(name) || is_trusted_module(codec, name))) {
            module = find_module(codec.cache, name);
        } else if (!module) {
            *why = kNotLoaded;
        }
    }
    if (module && !is_plain_module(module.get())) {
        *why = kNotFound;
        return {};
    }
    return module;
}

// Whether an actor is importing it. PyImport_GetModule would ask for attributes, which a module can answer with code.
bool is_being_imported(PyObject* module) {
    PyObject* spec = PyDict_GetItemString(PyModule_GetDict(module), "__spec__");  // borrowed, as all of these
    Handle own(spec ? PyObject_GenericGetDict(spec, nullptr) : nullptr);
    PyObject* importing = own ? PyDict_GetItemString(own.get(), "_initializing") : nullptr;
    drop_exception();
    return importing == Py_True;
}

// Returns what the dicts of the module and of the classes in it lead to, or nothing.
Handle walk(PyObject* module, PyObject* path) {
    Handle found = Handle::share(module);
    const Py_ssize_t length = PyUnicode_GET_LENGTH(path);
    for (Py_ssize_t start = 0; start <= length;) {
        Py_ssize_t dot = PyUnicode_FindChar(path, '.', start, length, 1);
        if (dot < 0) dot = length;
        Handle part(PyUnicode_Substring(path, start, dot));
        if (!part) return {};
        PyObject* next = nullptr;  // borrowed
        if (start == 0) next = PyDict_GetItemWithError(PyModule_GetDict(module), part.get());
        else if (PyType_Check(found.get()))
            next = find_in_class(reinterpret_cast<PyTypeObject*>(found.get()), part.get());
        if (!next) return {};
        found = Handle::share(next);
        start = dot + 1;
    }
    return found;
}

// The module in which a function says it was made, or nullptr; borrowed.
PyObject* home_of(PyObject* function) {
    PyObject* home = PyFunction_Check(function)    ? PyFunction_GetModule(function)
                     : PyCFunction_Check(function) ? reinterpret_cast<PyCFunctionObject*>(function)->m_module
                                                   : nullptr;
    return home && PyUnicode_CheckExact(home) ? home : nullptr;
}

}  // namespace

bool is_trusted_module(const Codec::Impl& codec, PyObject* module) {
    const bool main = is_main(codec.cache, module);
    for (const std::string& trusted : codec.trusted_modules) {
        if (PyUnicode_EqualToUTF8(main ? codec.cache.main_name.get() : module, trusted.c_str())) return true;
    }
    return false;
}

Handle find_data_global(Codec::Impl& codec, PyObject* module_name, PyObject* path, bool may_import, const char** why) {
    *why = nullptr;
    Handle module = find_plain_module(codec, module_name, may_import, why);
    if (!module) return {};
    Handle found = walk(module.get(), path);
    if (!found && !PyErr_Occurred() && !is_main(codec.cache, module_name) && is_being_imported(module.get())) {
        // Another actor may be importing the module: waits for that.
        if (!Handle(find_module(codec.cache, module_name))) return {};
        found = walk(module.get(), path);
    }
    if (!found) {
        if (!PyErr_Occurred()) *why = kNotFound;
        return {};
    }
    if (PyType_Check(found.get())) return found;
    if (Py_IS_TYPE(found.get(), &PyStaticMethod_Type)) found = Handle(PyObject_GetAttrString(found.get(), "__func__"));
    if (!found) return {};
    // Also the module that the function comes from: a listed module may have imported functions of any other.
    PyObject* home = home_of(found.get());
    if (home && is_trusted_module(codec, module_name) && is_trusted_module(codec, home)) return found;
    *why = home ? kNotTrusted : kNoClass;
    return {};
}

}  // namespace smarm::codec
