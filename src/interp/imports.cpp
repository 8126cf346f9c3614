#include "smarm/interp/imports.h"

namespace smarm {

PyObject* import_module(const char* name) {
    PyObject* key = PyUnicode_FromString(name);
    // Gives the package of a dotted name.
    PyObject* package = key ? PyImport_ImportModuleLevelObject(key, nullptr, nullptr, nullptr, 0) : nullptr;
    PyObject* module = package ? PyImport_GetModule(key) : nullptr;
    if (package && !module && !PyErr_Occurred())
        PyErr_Format(PyExc_ImportError, "the module %s removed itself from sys.modules", name);
    Py_XDECREF(package);
    Py_XDECREF(key);
    return module;
}

PyObject* import_attribute(const char* module, const char* name) {
    PyObject* imported = import_module(module);
    PyObject* found = imported ? PyObject_GetAttrString(imported, name) : nullptr;
    Py_XDECREF(imported);
    return found;
}

PyObject* call_imported(const char* module, const char* name, PyObject* arguments) {
    PyObject* callable = arguments ? import_attribute(module, name) : nullptr;
    PyObject* result = callable ? PyObject_CallObject(callable, arguments) : nullptr;
    Py_XDECREF(callable);
    Py_XDECREF(arguments);
    return result;
}

}  // namespace smarm
