// errors.h: raising smarm's Python exceptions from C++.
//
// What:    the exception tree lives in pylib/smarm/_errors.py; raise_error("Closed", "...") sets an instance of that
//          class in the running interpreter. Returns nullptr so that callers can `return raise_error(...)`.
// Threads: the caller's thread state must be attached.
#pragma once

#include <Python.h>

#include <cstddef>

namespace smarm {

// Returns a new reference to smarm._errors.<name>, or nullptr with the import's exception set.
PyObject* error_type(const char* name);

// Sets smarm._errors.<name>(message), the message made as by PyErr_Format. Returns nullptr.
PyObject* raise_error(const char* name, const char* format, ...);

// Sets BufferLimit for a Buffer of so many bytes, see set_buffer_limit. Returns nullptr.
PyObject* raise_buffer_limit(std::size_t bytes);

// Whether the exception that is set is an instance of smarm._errors.<name>; it stays set.
bool current_error_is(const char* name);

}  // namespace smarm
