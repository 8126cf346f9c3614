// socket_twin.h: CPython's socket object from inside, and a twin of it that never waits.
//
// What:    a function of _socket waits in poll(2) when its object has a timeout, before it calls the system. The
//          object's mode is everybody's: to change it for a moment would be seen by others who use the object. A
//          SocketTwin is another object of the same type for the same descriptor, which nobody else has, with the mode
//          of a non-blocking socket. It touches neither the descriptor nor the object, and owns neither.
// Known:   learn_socket_layout() compares the fields that are used here with what the object's methods say. False:
//          sockets stay as CPython made them.
// Threads: attached. Errors: get() is nullptr with a Python exception when memory is out.
#pragma once

#include <Python.h>

#include "smarm/base/clock.h"

namespace smarm::stdlib {

// Of the imported _socket. Must have said true before anything else here is used. Never leaves an exception.
bool learn_socket_layout(PyObject* module);

// Whether it is an instance of _socket.socket.
bool is_socket(PyObject* object);

// A socket's mode.
struct Mode {
    PyObject* socket = nullptr;  // borrowed
    int fd = -1;
    bool parks = false;            // neither closed nor non-blocking
    bool has_timeout = false;      // the descriptor is non-blocking, and a transfer may be partial
    bool stream = false;           // knows no messages
    bool connects_slowly = false;  // connect() waits for the peer
    int family = 0;
    Instant deadline = kNever;  // of a call that begins now
};
Mode mode_of(PyObject* socket);
int fd_of(PyObject* socket);
// Whether its calls wait as long as it takes.
bool is_blocking(PyObject* socket);

class SocketTwin {
public:
    explicit SocketTwin(PyObject* socket);
    ~SocketTwin();
    SocketTwin(const SocketTwin&) = delete;
    SocketTwin& operator=(const SocketTwin&) = delete;
    PyObject* get() const { return twin_; }

private:
    PyObject* twin_;  // strong
};

}  // namespace smarm::stdlib
