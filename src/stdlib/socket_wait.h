// stdlib/socket_wait.h: what the replacements of _socket, select, _ssl and posix share.
#pragma once

#include <Python.h>

#include <utility>

#include <poll.h>

#include "cpython/method_patch.h"
#include "cpython/socket_twin.h"
#include "smarm/interp/point.h"
#include "smarm/interp/requested_exception.h"
#include "smarm/wait/fd.h"
#include "stdlib/locks_wait.h"

namespace smarm::stdlib {

// Of one module each, attached. What is not as we know it stays as it is.
void install_socket(PyObject* module);
void install_socket_transfers(PyObject* module);  // by install_socket, as the next three
void install_socket_connecting(PyObject* module);
void install_names(PyObject* module);
void install_socket_closing(PyObject* module);
void install_select(PyObject* module);
void install_ssl(PyObject* module);
void install_queue(PyObject* module);  // stdlib/threads.cpp
void install_descriptors(PyObject* module);

// A function that is not as we know it stays as it is.
inline void or_leave(bool installed) {
    if (!installed) drop_exception();
}

// Raises what an end other than ready means to users of the standard library: TimeoutError, OSError, ActorExit, or
// DescriptorClosed, which is an OSError, too. Returns nullptr.
PyObject* raise_end(const FdEnd& end, const char* timed_out = "timed out");

// Whether there is something to read, or to be told, so that a call is worth its while: what has to be read is mostly
// not there yet, and a BlockingIOError takes microseconds. No promise: somebody else may be faster.
inline bool may_have_input(int fd) noexcept {
    pollfd look{.fd = fd, .events = POLLIN, .revents = 0};
    return poll(&look, 1, 0) != 0;
}

// Calls attempt(), which returns an object or nullptr with an exception, until it does not raise BlockingIOError; parks
// in between. Begins with a cancellation point.
template <class Attempt>
PyObject* call_until_taken(const Mode& mode, Interest interest, Attempt attempt) {
    if (!pass_point(*this_actor())) return nullptr;
    PyObject* result = nullptr;
    bool looked = interest != Interest::read;
    const FdEnd end = try_until_taken(
        mode.fd, interest, mode.deadline,
        [&] {
            if (!std::exchange(looked, true) && !may_have_input(mode.fd)) return false;
            result = attempt();
            if (result || !PyErr_ExceptionMatches(PyExc_BlockingIOError)) return true;
            drop_exception();
            return false;
        },
        mode.socket);
    return end.status == FdStatus::ready ? result : raise_end(end);
}

// Looks a name up without holding the worker up, on a thread of the pool: "gethostbyname" and its like. `arguments` is
// a tuple.
PyObject* look_up_parking(PyObject* module, const char* function, PyObject* arguments);
// Whether `host` is to be looked up: neither a number nor what stands for an address by itself.
bool needs_lookup(PyObject* host);
// An address for this socket, whose host is a number: looks it up if it is a name. A new reference, nullptr with an
// exception.
PyObject* resolved(const Mode& mode, PyObject* address);

}  // namespace smarm::stdlib
