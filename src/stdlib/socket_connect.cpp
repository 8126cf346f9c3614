// accept, connect and bind: what waits for a peer, or for the address of a name.
#include <algorithm>
#include <cerrno>

#include <fcntl.h>
#include <sys/socket.h>

#include "smarm/interp/requested_exception.h"
#include "smarm/sched/scheduler.h"
#include "stdlib/socket_wait.h"

namespace smarm::stdlib {
namespace {

// ---- accept: there is no flag that keeps it from waiting, so that a listener is non-blocking for good ---------------

// A thread that is no actor, in accept() of a socket without a timeout: waits, as it would in the system.
PyObject* accept_waiting(const Original& accept, PyObject* self) {
    for (;;) {
        PyObject* result = accept.call(self, nullptr, 0);
        if (result || !PyErr_ExceptionMatches(PyExc_BlockingIOError)) return result;
        drop_exception();
        pollfd look{fd_of(self), POLLIN, 0};
        int count = 0;
        Py_BEGIN_ALLOW_THREADS count = poll(&look, 1, -1);
        Py_END_ALLOW_THREADS if (count < 0 && errno != EINTR) return PyErr_SetFromErrno(PyExc_OSError);
        if (PyErr_CheckSignals() != 0) return nullptr;
    }
}

PyObject* accept(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count, PyObject* names) {
    if (!calling_actor()) {
        const bool waits = count == 0 && fd_of(self) >= 0 && is_blocking(self);
        return waits ? accept_waiting(original, self) : original.call(self, values, count, names);
    }
    const Mode mode = mode_of(self);
    if (!mode.parks) return original.call(self, values, count, names);
    return call_until_taken(mode, Interest::read, [&]() -> PyObject* {
        if (const int error = keep_nonblocking(mode.fd)) {
            errno = error;
            return PyErr_SetFromErrno(PyExc_OSError);
        }
        const SocketTwin twin(self);
        return twin.get() ? original.call(twin.get(), values, count, names) : nullptr;
    });
}

// ---- connect --------------------------------------------------------------------------------------------------------

Original connect_ex_method;

// Calls connect_ex on a non-blocking descriptor. Returns errno, or -1 with an exception set. The descriptor is blocking
// again when this returns: until it is connected there is nothing that others could do with it at this moment.
int start_connecting(PyObject* self, PyObject* address, int fd) {
    const SocketTwin twin(self);
    if (!twin.get()) return -1;
    const int flags = fcntl(fd, F_GETFL);
    const bool blocking = flags >= 0 && !(flags & O_NONBLOCK);
    if (blocking) fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    PyObject* code = connect_ex_method.call(twin.get(), &address, 1);
    if (blocking) fcntl(fd, F_SETFL, flags);
    const long number = code ? PyLong_AsLong(code) : -1;
    Py_XDECREF(code);
    return static_cast<int>(number);
}

// The system has connected the socket, but remembers that connect() has yet to say so: it is asked again, which does
// not wait.
int finish_connecting(int fd) {
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
    if (error) return error;
    sockaddr_storage peer{};
    size = sizeof peer;
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0) return errno;
    const bool done = ::connect(fd, reinterpret_cast<sockaddr*>(&peer), size) == 0 || errno == EISCONN;
    return done ? 0 : errno;
}

// `error` is errno when the end is ready (0: connected; -1: an exception is set).
FdEnd connect_parking(PyObject* self, PyObject* address, const Mode& mode, int& error) {
    FdOpening opening(mode.fd, mode.socket);
    for (;;) {
        error = start_connecting(self, address, mode.fd);
        if (error != EAGAIN) break;
        // A Unix socket whose backlog is full: nothing tells when it is not.
        Worker& worker = *this_worker();
        if (mode.deadline != kNever && worker.driver().now() >= mode.deadline) return {FdStatus::timed_out};
        const Instant soon = deadline_after(worker.driver().now(), std::chrono::milliseconds(1));
        if (worker.park(WaitReason::fd, std::min(soon, mode.deadline)).requested) return {FdStatus::exit_requested};
    }
    if (error != EINPROGRESS) return {};
    const FdEnd end = opening.wait(Interest::write, mode.deadline);
    if (end.status == FdStatus::ready) error = finish_connecting(mode.fd);
    return end;
}

template <bool raises>
PyObject* connect(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                  PyObject* names) {
    const Mode mode = count == 1 && !names && calling_actor() ? mode_of(self) : Mode();
    if (!mode.parks) return original.call(self, values, count, names);
    if (!pass_point(*this_actor())) return nullptr;
    PyObject* address = resolved(mode, values[0]);
    if (!address) return nullptr;
    if (!mode.connects_slowly) {
        PyObject* result = original.call(self, &address, 1);
        Py_DECREF(address);
        return result;
    }
    int error = 0;
    const FdEnd end = connect_parking(self, address, mode, error);
    Py_DECREF(address);
    if (end.status == FdStatus::exit_requested) return raise_exit();
    if (PyErr_Occurred()) return nullptr;
    if (!raises) {
        if (end.status == FdStatus::timed_out) error = EAGAIN;
        if (end.status == FdStatus::closed) error = EBADF;
        if (end.status == FdStatus::failed) error = end.error;
        return PyLong_FromLong(error);
    }
    if (end.status != FdStatus::ready) return raise_end(end);
    if (error == 0) Py_RETURN_NONE;
    errno = error;
    return PyErr_SetFromErrno(PyExc_OSError);
}

PyObject* bind(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count, PyObject* names) {
    if (count != 1 || names || !calling_actor()) return original.call(self, values, count, names);
    PyObject* address = resolved(mode_of(self), values[0]);
    PyObject* result = address ? original.call(self, &address, 1) : nullptr;
    Py_XDECREF(address);
    return result;
}

}  // namespace

void install_socket_connecting(PyObject* module) {
    or_leave(Patch<accept>::install(module, "socket", "_accept"));
    or_leave(Patch<bind>::install(module, "socket", "bind"));
    // connect needs the connect_ex that was there before.
    if (!connect_ex_method.function && !find(module, "socket", "connect_ex", connect_ex_method))
        return drop_exception();
    or_leave(Patch<connect<true>>::install(module, "socket", "connect"));
    or_leave(Patch<connect<false>>::install(module, "socket", "connect_ex"));
}

}  // namespace smarm::stdlib
