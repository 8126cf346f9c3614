// owner.h: the interpreter that private copies belong to, and the functions of the C API that mean it.
//
// What:    an interpreter that loads its first private copy becomes an owner and gets a number, which no other one ever
//          gets: the copies of an ended interpreter stay loaded with its variables. These functions mean the
//          main interpreter when CPython answers, or know nothing of the load; in a copy they are redirected to
//          functions of its owner:
//          PyGILState_Ensure         a thread that the module has started attaches to the owner
//          PyInterpreterState_Main   the owner
//          Py_AddPendingCall         the owner calls
//          PyModule_Create2          the module gets its full name, as from CPython's own loader
//          PyModule_FromDefAndSpec2, 3.15: PyModule_FromSlotsAndSpec
//                                   modules that the module makes itself are allowed as it is
// End:     from end_owner() on threads that want to attach wait for ever, as CPython lets them, and calls are refused.
// Threads: claim_owner, end_owner and Load attached to the owner; the redirected functions as the C API says.
#pragma once

#include <Python.h>

#include <array>
#include <cstddef>

#include "cpython/loaded_copy.h"

namespace smarm {

constexpr std::size_t kMostOwners = 1024;

// The attached interpreter's number, made at the first call. Returns -1: there were kMostOwners.
int claim_owner() noexcept;

void end_owner() noexcept;

std::array<Redirection, 6> redirections_to(int owner) noexcept;

// While one lives, the calling thread state initialises the module of this name, "package.module".
class Load {
public:
    Load(int owner, const char* full_name) noexcept;
    ~Load();
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;

private:
    friend PyObject* create_module(int, PyModuleDef*, int) noexcept;
    int owner_;
    PyThreadState* state_;
    const char* full_name_;
    Load* next_;
};

}  // namespace smarm
