#include "smarm/stdlib/extension_modules.h"

#include "cpython/method_patch.h"
#include "cpython/py_compat.h"
#include "smarm/cpython/tls_blocks.h"
#include "smarm/interp/imports.h"
#include "smarm/interp/native_threads.h"
#include "smarm/interp/requested_exception.h"

namespace smarm {
namespace {

PyObject* attribute_or_null(PyObject* object, const char* name) {
    PyObject* value = PyObject_GetAttrString(object, name);
    if (!value) drop_exception();
    return value;
}

// Raises an exception of this interpreter that says the same as the one that is set.
// SAFETY: that one may be the main interpreter's, whose GIL is not held here. It and its text are looked at only, and
//         never freed: what
// refers to it is forgotten with its references. Its type may be kept if it is static, for then all interpreters share
// it.
void raise_as_own(PyObject* spec) {
    PyObject* foreign = PyErr_GetRaisedException();
    PyObject* foreign_text = PyObject_Str(foreign);
    PyObject* bytes = foreign_text ? PyUnicode_AsEncodedString(foreign_text, "utf-8", "backslashreplace") : nullptr;
    if (!bytes) {
        drop_exception();
        PyErr_SetString(PyExc_ImportError, "the extension module could not be initialised");
        return;
    }
    PyObject* text = PyUnicode_FromStringAndSize(PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes));
    Py_DECREF(bytes);
    PyTypeObject* type = Py_TYPE(foreign);
    const bool is_static = !PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE);
    if (text && is_static && type != reinterpret_cast<PyTypeObject*>(PyExc_ImportError)) {
        PyErr_SetObject(reinterpret_cast<PyObject*>(type), text);
    } else if (text) {
        PyObject* name = attribute_or_null(spec, "name");
        PyObject* origin = attribute_or_null(spec, "origin");
        PyErr_SetImportError(text, name, origin);
        Py_XDECREF(name);
        Py_XDECREF(origin);
    }
    Py_XDECREF(text);
}

PyObject* create_dynamic(const stdlib::Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                         PyObject* names) {
    PyObject* module = original.call(self, values, count, names);
    check_native_libraries();
    find_tls_objects();
    if (!module && smarm_init_errors_are_foreign() && PyInterpreterState_Get() != PyInterpreterState_Main())
        raise_as_own(values[0]);
    return module;
}

}  // namespace

bool install_stdlib_import() {
    PyObject* module = import_module("_imp");
    const bool installed = module && stdlib::Patch<create_dynamic>::install(module, nullptr, "create_dynamic");
    Py_XDECREF(module);
    return installed;
}

}  // namespace smarm
