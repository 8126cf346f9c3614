#include "smarm/interp/errors.h"

#include <cstdarg>

#include "smarm/interp/imports.h"
#include "smarm/msg/buffer_memory.h"

namespace smarm {

PyObject* error_type(const char* name) { return import_attribute("smarm._errors", name); }

bool current_error_is(const char* name) {
    PyObject* raised = PyErr_GetRaisedException();
    PyObject* type = error_type(name);
    const bool same = type && PyErr_GivenExceptionMatches(raised, type);
    Py_XDECREF(type);
    PyErr_SetRaisedException(raised);
    return same;
}

PyObject* raise_buffer_limit(std::size_t bytes) {
    return raise_error(
        "BufferLimit",
        "with %zu bytes more all Buffers would have more than the %zu bytes that max_buffer_bytes allows: "
        "free some, or send them on",
        bytes, buffer_limit());
}

PyObject* raise_error(const char* name, const char* format, ...) {
    PyObject* type = error_type(name);
    if (!type) return nullptr;
    va_list arguments;
    va_start(arguments, format);
    PyErr_FormatV(type, format, arguments);
    va_end(arguments);
    Py_DECREF(type);
    return nullptr;
}

}  // namespace smarm
