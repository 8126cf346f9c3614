// init_error.h: why a module could not be initialised, when CPython has asked it in the main interpreter for a worker.
//
// What:    CPython runs PyInit of a module for a worker in the main interpreter, and what it raises there is an object
//          of that one. 3.13 raises it in the worker all the same, where freeing it ends the process; 3.14 and 3.15
//          give it to sys.unraisablehook, which prints it, and raise an ImportError that does not say why. InitError
//          takes note of it in both cases, and raises one of the worker's interpreter that says the same.
// Not:     a hook of the program's own in place of sys.unraisablehook is called, and then the reason is known to it
//          alone.
// Threads: an InitError lives on the worker's thread, attached to the worker's interpreter, while CPython loads.
#pragma once

#include <Python.h>

#include <string>

namespace smarm {

// Returns a new reference, or nullptr without an exception.
PyObject* attribute_or_null(PyObject* object, const char* name);

class InitError {
public:
    InitError() noexcept;
    ~InitError();
    InitError(const InitError&) = delete;
    InitError& operator=(const InitError&) = delete;

    // The load of this module has failed: replaces the exception that is set by what was noted, if anything was.
    void raise(PyObject* spec);

    // With the main interpreter attached. False with an exception set.
    static bool install();

    // From sys.unraisablehook: `value` belongs to the attached interpreter.
    static bool take_unraisable(PyObject* arguments);

private:
    void note(PyObject* foreign);

    InitError* outer_;
    PyTypeObject* type_ = nullptr;  // static ones only: these are the same in all interpreters
    std::string text_;
    bool noted_ = false;
};

}  // namespace smarm
