#include "extensions/init_error.h"

#include <new>
#include <string_view>

#include "cpython/method_patch.h"
#include "cpython/py_compat.h"
#include "smarm/interp/imports.h"
#include "smarm/interp/requested_exception.h"

namespace smarm {
namespace {

thread_local InitError* noting = nullptr;

PyObject* note_unraisable(const stdlib::Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                          PyObject* names) {
    if (count == 1 && InitError::take_unraisable(values[0])) Py_RETURN_NONE;
    return original.call(self, values, count, names);
}

}  // namespace

PyObject* attribute_or_null(PyObject* object, const char* name) {
    PyObject* value = PyObject_GetAttrString(object, name);
    if (!value) drop_exception();
    return value;
}

InitError::InitError() noexcept : outer_(noting) { noting = this; }

InitError::~InitError() { noting = outer_; }

bool InitError::install() {
    if (smarm_init_errors_are_foreign()) return true;
    // The one that sys had at first: the program may have put another in its place.
    PyObject* module = import_module("sys");
    const bool installed = module && stdlib::Patch<note_unraisable>::install(module, nullptr, "__unraisablehook__");
    Py_XDECREF(module);
    return installed;
}

// SAFETY: the exception may be the main interpreter's, whose GIL is not held here (3.13). It and its text are looked at
//         only, and never freed: what refers to it is forgotten with its references.
void InitError::note(PyObject* foreign) {
    PyObject* foreign_text = PyObject_Str(foreign);
    PyObject* bytes = foreign_text ? PyUnicode_AsEncodedString(foreign_text, "utf-8", "backslashreplace") : nullptr;
    if (!bytes) {
        drop_exception();
        return;
    }
    try {
        text_.assign(PyBytes_AS_STRING(bytes), static_cast<std::size_t>(PyBytes_GET_SIZE(bytes)));
        noted_ = true;
    } catch (const std::bad_alloc&) {  // the general sentence does, then
    }
    Py_DECREF(bytes);
    if (!PyType_HasFeature(Py_TYPE(foreign), Py_TPFLAGS_HEAPTYPE)) type_ = Py_TYPE(foreign);
}

bool InitError::take_unraisable(PyObject* arguments) {
    if (!noting || PyInterpreterState_Get() != PyInterpreterState_Main()) return false;
    PyObject* message = attribute_or_null(arguments, "err_msg");
    PyObject* value = attribute_or_null(arguments, "exc_value");
    const char* text = message && PyUnicode_Check(message) ? PyUnicode_AsUTF8(message) : nullptr;
    const bool is_import = text && value && value != Py_None &&
                           std::string_view(text).starts_with("Exception while importing from subinterpreter");
    if (is_import) noting->note(value);
    Py_XDECREF(message);
    Py_XDECREF(value);
    return is_import && noting->noted_;
}

void InitError::raise(PyObject* spec) {
    if (smarm_init_errors_are_foreign() && PyErr_Occurred()) {
        note(PyErr_GetRaisedException());
        if (!noted_) PyErr_SetString(PyExc_ImportError, "the extension module could not be initialised");
    }
    if (!noted_) return;
    drop_exception();
    PyObject* text = PyUnicode_FromStringAndSize(text_.data(), static_cast<Py_ssize_t>(text_.size()));
    if (text && type_ && type_ != reinterpret_cast<PyTypeObject*>(PyExc_ImportError)) {
        PyErr_SetObject(reinterpret_cast<PyObject*>(type_), text);
    } else if (text) {
        PyObject* name = attribute_or_null(spec, "name");
        PyObject* origin = attribute_or_null(spec, "origin");
        PyErr_SetImportError(text, name, origin);
        Py_XDECREF(name);
        Py_XDECREF(origin);
    }
    Py_XDECREF(text);
}

}  // namespace smarm
