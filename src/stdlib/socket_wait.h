// stdlib/socket_wait.h: what the replacements of _socket, select and _ssl share.
#pragma once

#include <Python.h>

#include "cpython/method_patch.h"
#include "smarm/wait/fd.h"
#include "stdlib/locks_wait.h"

namespace smarm::stdlib {

// Of one module each, attached. What is not as we know it stays as it is.
void install_socket(PyObject* module);
void install_select(PyObject* module);
void install_ssl(PyObject* module);
void install_queue(PyObject* module);  // stdlib/threads.cpp

// A function that is not as we know it stays as it is.
inline void or_leave(bool installed) {
    if (!installed) PyErr_Clear();
}

// A socket's mode.
struct Mode {
    int fd = -1;
    bool parks = false;         // neither closed nor non-blocking
    Instant deadline = kNever;  // of a call that begins now
};

// Reads what gettimeout() gave (None or seconds; steals it, nullptr: not a socket). Never leaves an exception.
Mode mode_from(PyObject* timeout, int fd);

// Raises what an end other than ready means to socket users: TimeoutError, OSError, ActorExit. Returns nullptr.
PyObject* raise_end(const FdEnd& end, const char* timed_out = "timed out");

}  // namespace smarm::stdlib
