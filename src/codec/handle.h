// codec/handle.h: an owned reference to a Python object.
//
// Owner:   the Handle; empty after release(). Threads: the interpreter's thread state must be attached, also in the
//          destructor, which can run Python code (finalisers) and therefore park.
#pragma once

#include <Python.h>

#include <utility>

namespace smarm::codec {

class Handle {
public:
    Handle() = default;
    // Takes over the caller's reference; nullptr makes an empty handle.
    explicit Handle(PyObject* owned) noexcept : object_(owned) {}
    static Handle share(PyObject* borrowed) noexcept { return Handle(Py_XNewRef(borrowed)); }
    Handle(Handle&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
    Handle& operator=(Handle&& other) noexcept {
        // The old object goes last: its finaliser may look at this handle.
        PyObject* old = std::exchange(object_, std::exchange(other.object_, nullptr));
        Py_XDECREF(old);
        return *this;
    }
    ~Handle() { Py_XDECREF(object_); }

    PyObject* get() const noexcept { return object_; }
    explicit operator bool() const noexcept { return object_ != nullptr; }
    // Gives the reference to the caller.
    PyObject* release() noexcept { return std::exchange(object_, nullptr); }
    // For C functions that return a new reference through a pointer.
    PyObject** out() noexcept { return &object_; }

private:
    PyObject* object_ = nullptr;
};

}  // namespace smarm::codec
