#include "extensions/module_creation.h"

#include <cstring>
#include <memory>
#include <new>
#include <string>

#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include "cpython/loaded_copy.h"
#include "cpython/module_definition.h"
#include "extensions/owner.h"
#include "smarm/cpython/tls_blocks.h"
#include "smarm/interp/native_threads.h"
#include "smarm/interp/requested_exception.h"

namespace smarm {
namespace {

constexpr const char* kCapsule = "smarm private copy";

struct Copy {
    void* handle;
    int owner;
};

Copy& copy_of(PyObject* object) { return *static_cast<Copy*>(PyCapsule_GetPointer(object, kCapsule)); }

PyObject* fail_to_open(const std::string& sentence) {
    PyErr_SetString(PyExc_ImportError, sentence.c_str());
    return nullptr;
}

// The name of the module's function without its prefix: "name", or U_ and the name in Punycode. PEP 489.
bool function_suffix(PyObject* name, std::string& suffix) {
    Py_ssize_t length = PyUnicode_GET_LENGTH(name);
    const Py_ssize_t dot = PyUnicode_FindChar(name, '.', 0, length, -1);
    if (dot < -1) return false;
    PyObject* last = PyUnicode_Substring(name, dot + 1, length);
    if (!last) return false;
    PyObject* encoded =
        PyUnicode_IS_ASCII(last) ? PyUnicode_AsASCIIString(last) : PyUnicode_AsEncodedString(last, "punycode", nullptr);
    if (encoded) {
        suffix = PyUnicode_IS_ASCII(last) ? "_" : "U_";
        suffix += PyBytes_AS_STRING(encoded);
        for (char& letter : suffix)
            if (letter == '-') letter = '_';
    }
    Py_DECREF(last);
    Py_XDECREF(encoded);
    return encoded != nullptr;
}

// What CPython says in such cases, in its words.
bool is_sound(PyObject* result, const std::string& name) {
    if (!result && !PyErr_Occurred())
        PyErr_Format(PyExc_SystemError, "initialization of %s failed without raising an exception", name.c_str());
    if (!result) return false;
    if (PyErr_Occurred()) {
        PyObject* cause = PyErr_GetRaisedException();
        PyErr_Format(PyExc_SystemError, "initialization of %s raised unreported exception", name.c_str());
        PyObject* raised = PyErr_GetRaisedException();
        PyException_SetCause(raised, cause);
        PyErr_SetRaisedException(raised);
        return false;
    }
    const bool known = Py_TYPE(result) && (Py_IS_TYPE(result, &PyModuleDef_Type) || PyModule_Check(result));
    if (!known) PyErr_Format(PyExc_SystemError, "initialization of %s returned no module", name.c_str());
    return known;
}

// The rest of what CPython's loader does for a module that was made in one phase.
bool complete(PyObject* module, PyObject* spec, const std::string& name, bool& once) {
    PyModuleDef* definition = PyModule_GetDef(module);
    if (!definition) {
        if (!PyErr_Occurred())
            PyErr_Format(PyExc_SystemError, "initialization of %s did not return an extension module", name.c_str());
        return false;
    }
    // Some modules do it themselves, and a second time would end the process.
    if (PyState_FindModule(definition) != module && PyState_AddModule(module, definition) != 0) return false;
    if (definition->m_size == -1) once = true;
    PyObject* origin = PyObject_GetAttrString(spec, "origin");
    const bool named = origin && PyObject_SetAttrString(module, "__file__", origin) == 0;
    Py_XDECREF(origin);
    return named;
}

PyObject* fail_without_function(PyObject* spec, PyObject* name, const std::string& function) {
    PyObject* text =
        PyUnicode_FromFormat("dynamic module does not define module export function (%s)", function.c_str());
    PyObject* origin = text ? PyObject_GetAttrString(spec, "origin") : nullptr;
    if (origin) PyErr_SetImportError(text, name, origin);
    Py_XDECREF(origin);
    Py_XDECREF(text);
    return nullptr;
}

PyObject* initialise(const Copy& copy, PyObject* spec, PyObject* name, const std::string& suffix, bool& once) {
    const std::string function = "PyInit" + suffix;
    const std::string short_name = suffix.substr(suffix.find('_') + 1);
    if (const char* prefix = module_export_prefix()) {
        if (void* exported = dlsym(copy.handle, (prefix + short_name).c_str())) return module_of_export(exported, spec);
    }
    // SAFETY: the C API gives functions of this name this type.
    auto* init = reinterpret_cast<PyObject* (*)()>(dlsym(copy.handle, function.c_str()));
    if (!init) return fail_without_function(spec, name, function);
    const char* full_name = PyUnicode_AsUTF8(name);
    if (!full_name) return nullptr;
    PyObject* result = nullptr;
    {
        Load load(copy.owner, full_name);
        result = init();
    }
    if (!is_sound(result, short_name)) {
        if (result && !Py_IS_TYPE(result, &PyModuleDef_Type)) Py_DECREF(result);
        return nullptr;
    }
    if (!Py_IS_TYPE(result, &PyModuleDef_Type)) {
        if (!complete(result, spec, short_name, once)) Py_CLEAR(result);
        return result;
    }
    auto& definition = *reinterpret_cast<PyModuleDef*>(result);
    if (!allow_own_gil(definition)) return nullptr;
    return PyModule_FromDefAndSpec(&definition, spec);
}

}  // namespace

PyObject* open_private_copy(int owner, const char* path, const char* original, int flags) {
    if (!can_redirect())
        return fail_to_open("this system's loader does not let smarm redirect the calls of a private copy");
    auto copy = std::make_unique<Copy>(Copy{nullptr, owner});
    std::string error;
    copy->handle = open_copy(path, flags & (RTLD_LAZY | RTLD_NOW) ? flags & (RTLD_LAZY | RTLD_NOW) : RTLD_NOW, error);
    if (!copy->handle) return fail_to_open(error);
    if (const int failed = redirect(copy->handle, redirections_to(owner)))
        return fail_to_open(std::string("the calls of its private copy cannot be redirected: ") +
                            std::strerror(failed));
    if (const int descriptor = open(original, O_RDONLY | O_CLOEXEC); descriptor >= 0) {
        share_pages(copy->handle, descriptor);
        close(descriptor);
    }
    check_native_libraries();
    find_tls_objects();
    // Nothing is freed with the capsule: the copy stays loaded, and another attempt gets the same one.
    PyObject* capsule = PyCapsule_New(copy.get(), kCapsule, [](PyObject* object) { delete &copy_of(object); });
    if (capsule) copy.release();
    return capsule;
}

bool is_private_copy(PyObject* object) { return PyCapsule_IsValid(object, kCapsule) != 0; }

bool audit_import(PyObject* spec) {
    PyObject* name = PyObject_GetAttrString(spec, "name");
    PyObject* origin = name ? PyObject_GetAttrString(spec, "origin") : nullptr;
    const bool allowed = origin && PySys_Audit("import", "OOOOO", name, origin, Py_None, Py_None, Py_None) == 0;
    Py_XDECREF(origin);
    Py_XDECREF(name);
    return allowed;
}

PyObject* create_module_in(PyObject* copy, PyObject* spec, bool& once) {
    PyObject* name = PyObject_GetAttrString(spec, "name");
    if (name && !PyUnicode_Check(name)) {
        PyErr_SetString(PyExc_TypeError, "the name of a module must be a str");
        Py_CLEAR(name);
    }
    std::string suffix;
    PyObject* module = nullptr;
    if (name && function_suffix(name, suffix)) module = initialise(copy_of(copy), spec, name, suffix, once);
    Py_XDECREF(name);
    return module;
}

}  // namespace smarm
