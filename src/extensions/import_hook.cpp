#include "smarm/extensions/import_hook.h"

#include <new>
#include <string>
#include <string_view>

#include "cpython/method_patch.h"
#include "cpython/py_compat.h"
#include "extensions/init_error.h"
#include "extensions/module_creation.h"
#include "smarm/cpython/tls_blocks.h"
#include "smarm/extensions/policy.h"
#include "smarm/interp/imports.h"
#include "smarm/interp/interpreter_state.h"
#include "smarm/interp/native_threads.h"
#include "smarm/interp/requested_exception.h"

namespace smarm {
namespace {

// Where the standard library's modules are, with a slash at the end. Written once, before workers are there.
auto& standard_library = *new std::string;

bool find_standard_library() {
    if (!standard_library.empty()) return true;
    PyObject* file = import_attribute("os", "__file__");
    const char* path = file ? PyUnicode_AsUTF8(file) : nullptr;
    if (path) standard_library = std::string_view(path).substr(0, std::string_view(path).rfind('/') + 1);
    Py_XDECREF(file);
    return path != nullptr;
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// Asked here, for the loader in Python imports from the standard library itself.
bool is_of_standard_library(PyObject* spec) {
    PyObject* origin = attribute_or_null(spec, "origin");
    const char* text = origin && PyUnicode_Check(origin) ? PyUnicode_AsUTF8(origin) : nullptr;
    if (!text) drop_exception();
    const std::string_view path = text ? text : "";
    const std::string_view below = path.starts_with(standard_library) ? path.substr(standard_library.size()) : "";
    const bool is = contains(path, "/lib-dynload/") ||
                    (!below.empty() && !contains(below, "site-packages/") && !contains(below, "dist-packages/"));
    Py_XDECREF(origin);
    return is;
}

// Whether this interpreter loads private copies.
bool loads_copies() noexcept {
    const InterpreterState* state = extensions_are_private() ? interpreter_state() : nullptr;
    return state && state->of_worker;
}

// Calls smarm.extensions._loader.<name>(arguments); steals them. Its frames are not shown.
PyObject* call_loader(const char* name, PyObject* arguments) {
    PyObject* result = call_imported("smarm.extensions._loader", name, arguments);
    if (result) return result;
    PyObject* exception = PyErr_GetRaisedException();
    PyException_SetTraceback(exception, Py_None);
    PyErr_SetRaisedException(exception);
    return nullptr;
}

// Py_None: CPython is to load it.
PyObject* create_from_copy(PyObject* spec) {
    PyObject* opened = call_loader("open_module", Py_BuildValue("(O)", spec));
    if (!opened || !is_private_copy(opened)) return opened;
    bool once = false;
    PyObject* module = audit_import(spec) ? create_module_in(opened, spec, once) : nullptr;
    Py_DECREF(opened);
    if (!module || !once) return module;
    PyObject* kept = call_loader("keep", Py_BuildValue("(OO)", spec, module));
    if (!kept) Py_CLEAR(module);
    Py_XDECREF(kept);
    return module;
}

bool is_refusal(PyObject* exception) {
    PyObject* message = attribute_or_null(exception, "msg");
    const char* text = message && PyUnicode_Check(message) ? PyUnicode_AsUTF8(message) : nullptr;
    if (!text) drop_exception();
    const bool is = text && smarm_is_refusal(text);
    Py_XDECREF(message);
    return is;
}

// An exception is set: if it is a worker's refusal, it is to say what to do about it.
void explain_refusal(PyObject* spec, bool has_file) {
    const InterpreterState* state = interpreter_state();
    if (!state || !state->of_worker || !PyErr_ExceptionMatches(PyExc_ImportError)) return;
    PyObject* exception = PyErr_GetRaisedException();
    PyObject* name = is_refusal(exception) ? attribute_or_null(spec, "name") : nullptr;
    if (name) {
        const bool copies_help = has_file && !extensions_are_private() && !is_of_standard_library(spec);
        PyObject* done = call_imported("smarm.extensions._refusals", "explain",
                                       Py_BuildValue("(ONO)", exception, name, copies_help ? Py_True : Py_False));
        if (!done) drop_exception();  // no file can be opened any more, say: it is without the advice
        Py_XDECREF(done);
    }
    PyErr_SetRaisedException(exception);
}

void note_loaded() noexcept {
    check_native_libraries();
    find_tls_objects();
}

PyObject* load_as_cpython(const stdlib::Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                          PyObject* names) {
    if (PyInterpreterState_Get() == PyInterpreterState_Main()) {
        PyObject* module = original.call(self, values, count, names);
        note_loaded();
        return module;
    }
    InitError error;
    PyObject* module = original.call(self, values, count, names);
    note_loaded();
    if (!module && count > 0) {
        error.raise(values[0]);
        explain_refusal(values[0], true);
    }
    return module;
}

// ctypes' own dlopen(name, flags).
PyObject* open_library(const stdlib::Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                       PyObject* names) {
    if (count == 0 || !loads_copies()) return original.call(self, values, count, names);
    PyObject* name = call_loader("library_to_open", Py_BuildValue("(O)", values[0]));
    if (!name) return nullptr;
    PyObject* changed[3] = {name, count > 1 ? values[1] : nullptr, count > 2 ? values[2] : nullptr};
    PyObject* result = original.call(self, count <= 3 ? changed : values, count, names);
    Py_DECREF(name);
    return result;
}

bool is_named(PyObject* spec, const char* wanted) {
    PyObject* name = attribute_or_null(spec, "name");
    const bool is = name && PyUnicode_Check(name) && PyUnicode_EqualToUTF8(name, wanted);
    Py_XDECREF(name);
    return is;
}

PyObject* create_dynamic(const stdlib::Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                         PyObject* names) {
    try {
        if (count > 0 && loads_copies() && !is_of_standard_library(values[0])) {
            PyObject* module = create_from_copy(values[0]);
            if (module != Py_None) return module;
            Py_DECREF(module);
        }
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    }
    PyObject* module = load_as_cpython(original, self, values, count, names);
    if (!module || !is_named(values[0], "_ctypes") || PyObject_HasAttrString(module, "dlopen") == 0) return module;
    if (!stdlib::Patch<open_library>::install(module, nullptr, "dlopen")) Py_CLEAR(module);
    return module;
}

PyObject* create_builtin(const stdlib::Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                         PyObject* names) {
    if (count > 0 && loads_copies() && is_named(values[0], "faulthandler"))
        return call_loader("make_faulthandler", Py_BuildValue("(O)", values[0]));
    PyObject* module = original.call(self, values, count, names);
    if (!module && count > 0) explain_refusal(values[0], false);
    return module;
}

}  // namespace

bool install_import_hook() {
    PyObject* module = import_module("_imp");
    const stdlib::Replacement replacements[] = {
        stdlib::Patch<create_dynamic>::replacement(nullptr, "create_dynamic"),
        stdlib::Patch<create_builtin>::replacement(nullptr, "create_builtin"),
    };
    const bool installed =
        module && find_standard_library() && InitError::install() && stdlib::replace_all(module, replacements);
    Py_XDECREF(module);
    return installed;
}

}  // namespace smarm
