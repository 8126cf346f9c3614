// handle.h: an owned reference to a Python object; empty where a call failed. Not copied, not moved.
#pragma once

#include <Python.h>

namespace smarm::host {

class Handle {
public:
    explicit Handle(PyObject* object) : object_(object) {}
    ~Handle() { Py_XDECREF(object_); }
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;

    PyObject* get() const { return object_; }
    explicit operator bool() const { return object_ != nullptr; }

private:
    PyObject* object_;
};

}  // namespace smarm::host
