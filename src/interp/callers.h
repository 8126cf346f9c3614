// callers.h: a frame of Python code and those that called it, the innermost first.
//
// Threads: the interpreter must be attached. Runs no Python code. Throws: what visit() throws.
#pragma once

#include <Python.h>

#include <memory>

namespace smarm {

// Calls visit(code, frame), both borrowed, until it returns false or no caller is left. Takes the reference to `frame`,
// which may be nullptr.
template <class Visit>
void for_each_caller(PyFrameObject* frame, Visit visit) {
    const auto drop = [](auto* object) { Py_DECREF(object); };
    std::unique_ptr<PyFrameObject, decltype(drop)> current(frame);
    while (current) {
        const std::unique_ptr<PyCodeObject, decltype(drop)> code(PyFrame_GetCode(current.get()));
        if (!visit(code.get(), current.get())) return;
        current.reset(PyFrame_GetBack(current.get()));
    }
}

}  // namespace smarm
