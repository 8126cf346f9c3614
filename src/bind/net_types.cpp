#include "bind/net_types.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "bind/arguments.h"
#include "bind/io_functions.h"
#include "interp/method_table.h"
#include "smarm/interp/errors.h"
#include "smarm/interp/imports.h"

namespace smarm::bind {
namespace {

// Connection and Listener.
struct SocketObject {
    PyObject_HEAD OwnedFd fd;
    // TCP gives a reader less than it asked for only when there is no more: another try is not worth its system call
    // until the kernel reports something. Unix sockets also stop between messages that carry descriptors.
    bool short_read_means_dry;
    PyObject* unread;  // bytes that were received and given back (owned), or nullptr: the next to be received
    bool ended_writing;
    bool peer_has_gone;  // an operation has failed because of it
};

SocketObject& as_socket(PyObject* self) { return *reinterpret_cast<SocketObject*>(self); }

PyObject* raise_errno(int error) {
    errno = error;
    return PyErr_SetFromErrno(PyExc_OSError);
}

PyObject* raise_socket_end(SocketObject& socket, const FdEnd& end, const char* timed_out) {
    if (end.status == FdStatus::failed && (end.error == ECONNRESET || (end.error == EPIPE && !socket.ended_writing)))
        socket.peer_has_gone = true;
    return raise_fd_end(end, timed_out, "the socket was closed");
}

int option_of(int fd, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    return getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
}

bool is_tcp(int fd) {
    const int family = option_of(fd, SO_DOMAIN);
    return (family == AF_INET || family == AF_INET6) && option_of(fd, SO_TYPE) == SOCK_STREAM &&
           option_of(fd, SO_PROTOCOL) == IPPROTO_TCP;
}

// Takes the fd over, also when it fails.
PyObject* make_socket(PyTypeObject* type, int fd, bool short_read_means_dry) {
    PyObject* self = type->tp_alloc(type, 0);
    if (!self) {
        close_fd(fd, scheduler_or_null());
        return nullptr;
    }
    new (&as_socket(self).fd) OwnedFd(fd);
    as_socket(self).short_read_means_dry = short_read_means_dry;
    as_socket(self).unread = nullptr;
    as_socket(self).ended_writing = as_socket(self).peer_has_gone = false;
    return self;
}

// Connection(fd), Listener(fd)
PyObject* socket_new(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
    static const char* names[] = {"fd", nullptr};
    PyObject* object = nullptr;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "O", const_cast<char**>(names), &object)) return nullptr;
    const int fd = PyObject_AsFileDescriptor(object);
    if (fd < 0) return nullptr;
    const int kind = option_of(fd, SO_TYPE);
    if (kind < 0) return raise_errno(errno);
    if (kind != SOCK_STREAM && kind != SOCK_SEQPACKET) {
        PyErr_SetString(PyExc_ValueError, "smarm.net needs a stream socket");
        return nullptr;
    }
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return raise_errno(errno);
    return make_socket(type, fd, is_tcp(fd));
}

void socket_dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    const int fd = as_socket(self).fd.release();
    if (fd >= 0) {
        PyObject* raised = PyErr_GetRaisedException();
        if (PyErr_WarnFormat(PyExc_ResourceWarning, 1, "unclosed %s, fd %d", type->tp_name, fd) != 0)
            PyErr_WriteUnraisable(nullptr);
        close_fd(fd, scheduler_or_null());
        PyErr_SetRaisedException(raised);
    }
    Py_XDECREF(as_socket(self).unread);
    type->tp_free(self);
    Py_DECREF(type);
}

// ---- addresses ------------------------------------------------------------------------------------------------------

PyObject* unix_address(const sockaddr_un& address, socklen_t size) {
    const std::size_t most = size - offsetof(sockaddr_un, sun_path);
    const char* path = address.sun_path;
    if (size <= offsetof(sockaddr_un, sun_path)) return PyUnicode_FromString("");
    if (path[0] == 0) return PyBytes_FromStringAndSize(path, static_cast<Py_ssize_t>(most));  // abstract, as in socket
    return PyUnicode_DecodeFSDefaultAndSize(path, static_cast<Py_ssize_t>(strnlen(path, most)));
}

PyObject* address_object(const sockaddr_storage& address, socklen_t size) {
    char text[INET6_ADDRSTRLEN] = "";
    if (address.ss_family == AF_INET) {
        const auto& it = reinterpret_cast<const sockaddr_in&>(address);
        inet_ntop(AF_INET, &it.sin_addr, text, sizeof text);
        return Py_BuildValue("(si)", text, ntohs(it.sin_port));
    }
    if (address.ss_family == AF_INET6) {
        const auto& it = reinterpret_cast<const sockaddr_in6&>(address);
        inet_ntop(AF_INET6, &it.sin6_addr, text, sizeof text);
        return Py_BuildValue("(siII)", text, ntohs(it.sin6_port), ntohl(it.sin6_flowinfo), it.sin6_scope_id);
    }
    if (address.ss_family == AF_UNIX) return unix_address(reinterpret_cast<const sockaddr_un&>(address), size);
    Py_RETURN_NONE;
}

PyObject* get_address(PyObject* self, int (*get)(int, sockaddr*, socklen_t*)) {
    const int fd = as_socket(self).fd.fd();
    if (fd < 0) return raise_error("Closed", "the socket is closed");
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (get(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return raise_errno(errno);
    return address_object(address, size);
}

PyObject* local_address(PyObject* self, void*) { return get_address(self, getsockname); }
PyObject* peer_address(PyObject* self, void*) { return get_address(self, getpeername); }

// ---- what both can --------------------------------------------------------------------------------------------------

PyObject* socket_close(PyObject* self, PyObject*) {
    const int fd = as_socket(self).fd.release();
    const int error = fd < 0 ? 0 : close_fd(fd, scheduler_or_null());
    if (error) return raise_errno(error);
    Py_RETURN_NONE;
}

PyObject* socket_detach(PyObject* self, PyObject*) {
    const int fd = as_socket(self).fd.release();
    if (fd < 0) return raise_error("Closed", "the socket is closed");
    abandon_fd(fd, scheduler_or_null());
    return PyLong_FromLong(fd);
}

PyObject* socket_fileno(PyObject* self, PyObject*) { return PyLong_FromLong(as_socket(self).fd.fd()); }

PyObject* socket_enter(PyObject* self, PyObject*) { return Py_NewRef(self); }

PyObject* socket_exit(PyObject* self, PyObject* const*, Py_ssize_t) { return socket_close(self, nullptr); }

PyObject* socket_closed(PyObject* self, void*) { return PyBool_FromLong(as_socket(self).fd.fd() < 0); }

PyObject* socket_repr(PyObject* self) {
    const int fd = as_socket(self).fd.fd();
    return fd < 0 ? PyUnicode_FromFormat("<%s, closed>", Py_TYPE(self)->tp_name)
                  : PyUnicode_FromFormat("<%s, fd %d>", Py_TYPE(self)->tp_name, fd);
}

PyObject* socket_reduce(PyObject* self, PyObject*) {
    return raise_error("NotSendable",
                       "a %s stays with the worker that opened it: spawn its actor there with a nested function",
                       Py_TYPE(self)->tp_name);
}

// ---- Connection -----------------------------------------------------------------------------------------------------

// Reads (..., timeout=None) after `required` arguments. nullptr with an exception set.
Worker* enter(const char* name, const char* function, PyObject* const* arguments, Py_ssize_t count, PyObject* names,
              Py_ssize_t required, Instant& deadline) {
    Worker* worker = enter_wait(name);
    if (!worker || (count == required && !names)) return worker;
    PyObject* timeout = Py_None;
    if (!read_timeout_keyword(function, arguments, count, names, required, &timeout)) return nullptr;
    return read_timeout(timeout, *worker, deadline) ? worker : nullptr;
}

bool refused(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

// Receives at most `size` bytes, as soon as there are any.
FdEnd receive_some(SocketObject& socket, Worker& worker, char* data, std::size_t size, Instant deadline,
                   std::size_t& got) {
    auto& reactor = static_cast<Reactor&>(worker.driver());
    for (;;) {
        if (socket.fd.fd() < 0) return {FdStatus::closed};
        if (!reactor.is_dry(socket.fd)) {
            const ssize_t count = recv(socket.fd.fd(), data, size, MSG_DONTWAIT);
            if (count >= 0) {
                got = static_cast<std::size_t>(count);
                if (socket.short_read_means_dry && got < size && got > 0) reactor.note_dry(socket.fd);
                return {};
            }
            if (errno == EINTR) continue;
            if (!refused(errno)) return {FdStatus::failed, errno};
            reactor.note_dry(socket.fd);
        }
        const FdEnd end = wait_fd(socket.fd, Interest::read, deadline);
        if (end.status != FdStatus::ready) return end;
    }
}

constexpr std::size_t kScratchBytes = 256 * 1024;

// Of this OS thread: what is received goes here first, so that a parked actor holds no memory for what may come, and a
// short answer to a long wish is allocated in its own size. Valid until the next switch.
char* scratch() {
    static thread_local const auto memory = std::make_unique_for_overwrite<char[]>(kScratchBytes);
    return memory.get();
}

constexpr const char* kNothingCame = "nothing came before the timeout";

// ---- reading ahead: see smarm/_reading.py ---------------------------------------------------------------------------

// At most `size` of the bytes that were given back, which there must be.
PyObject* take_unread(SocketObject& socket, Py_ssize_t size) {
    PyObject* bytes = std::exchange(socket.unread, nullptr);
    const Py_ssize_t length = PyBytes_GET_SIZE(bytes);
    if (length <= size) return bytes;
    PyObject* taken = PyBytes_FromStringAndSize(PyBytes_AS_STRING(bytes), size);
    PyObject* rest = taken ? PyBytes_FromStringAndSize(PyBytes_AS_STRING(bytes) + size, length - size) : nullptr;
    if (!rest) {
        Py_XDECREF(taken);
        socket.unread = bytes;
        return nullptr;
    }
    Py_DECREF(bytes);
    socket.unread = rest;
    return taken;
}

// _unread(data): what the next recv gives, before anything else.
PyObject* connection_unread(PyObject* self, PyObject* data) {
    SocketObject& socket = as_socket(self);
    if (!PyBytes_CheckExact(data)) return PyErr_BadArgument(), nullptr;
    if (PyBytes_GET_SIZE(data) == 0) Py_RETURN_NONE;
    PyObject* all = Py_NewRef(data);
    if (socket.unread) PyBytes_Concat(&all, socket.unread);
    if (!all) return nullptr;
    Py_XSETREF(socket.unread, all);
    Py_RETURN_NONE;
}

// Calls smarm._reading.<name>(self, ...).
PyObject* call_reading(const char* name, PyObject* self, PyObject* arguments, PyObject* keywords) {
    PyObject* function = import_attribute("smarm._reading", name);
    PyObject* first = function ? PyTuple_Pack(1, self) : nullptr;
    PyObject* all = first ? PySequence_Concat(first, arguments) : nullptr;
    PyObject* result = all ? PyObject_Call(function, all, keywords) : nullptr;
    Py_XDECREF(all);
    Py_XDECREF(first);
    Py_XDECREF(function);
    return result;
}

PyObject* connection_readline(PyObject* self, PyObject* arguments, PyObject* keywords) {
    return call_reading("readline", self, arguments, keywords);
}
PyObject* connection_lines(PyObject* self, PyObject* arguments, PyObject* keywords) {
    return call_reading("lines", self, arguments, keywords);
}
PyObject* connection_read_exactly(PyObject* self, PyObject* arguments, PyObject* keywords) {
    return call_reading("read_exactly", self, arguments, keywords);
}

PyObject* connection_recv(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    Instant deadline = kNever;
    Worker* worker = enter("Connection.recv", "recv", arguments, count, names, 1, deadline);
    if (!worker) return nullptr;
    const Py_ssize_t size = PyNumber_AsSsize_t(arguments[0], PyExc_OverflowError);
    if (size < 0) {
        if (!PyErr_Occurred()) PyErr_Format(PyExc_ValueError, "recv() takes a size of 0 or more bytes, not %zd", size);
        return nullptr;
    }
    if (size == 0) return PyBytes_FromStringAndSize(nullptr, 0);
    if (as_socket(self).unread) return take_unread(as_socket(self), size);
    std::size_t got = 0;
    char* data = scratch();
    const FdEnd end = receive_some(as_socket(self), *worker, data,
                                   std::min(static_cast<std::size_t>(size), kScratchBytes), deadline, got);
    if (end.status != FdStatus::ready) return raise_socket_end(as_socket(self), end, kNothingCame);
    return PyBytes_FromStringAndSize(data, static_cast<Py_ssize_t>(got));
}

PyObject* connection_recv_into(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    Instant deadline = kNever;
    Worker* worker = enter("Connection.recv_into", "recv_into", arguments, count, names, 1, deadline);
    if (!worker) return nullptr;
    Py_buffer buffer;
    if (PyObject_GetBuffer(arguments[0], &buffer, PyBUF_WRITABLE) != 0) return nullptr;
    std::size_t got = 0;
    FdEnd end;
    if (buffer.len > 0 && as_socket(self).unread) {
        PyObject* taken = take_unread(as_socket(self), buffer.len);
        if (taken)
            std::memcpy(buffer.buf, PyBytes_AS_STRING(taken), got = static_cast<std::size_t>(PyBytes_GET_SIZE(taken)));
        PyBuffer_Release(&buffer);
        if (!taken) return nullptr;
        Py_DECREF(taken);
        return PyLong_FromSize_t(got);
    }
    if (buffer.len > 0)
        end = receive_some(as_socket(self), *worker, static_cast<char*>(buffer.buf),
                           static_cast<std::size_t>(buffer.len), deadline, got);
    PyBuffer_Release(&buffer);
    if (end.status != FdStatus::ready) return raise_socket_end(as_socket(self), end, kNothingCame);
    return PyLong_FromSize_t(got);
}

FdEnd send_all(SocketObject& socket, const char* data, std::size_t size, Instant deadline, std::size_t& sent) {
    while (sent < size) {
        if (socket.fd.fd() < 0) return {FdStatus::closed};
        const ssize_t count = send(socket.fd.fd(), data + sent, size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count >= 0) {
            sent += static_cast<std::size_t>(count);
            continue;
        }
        if (errno == EINTR) continue;
        if (!refused(errno)) return {FdStatus::failed, errno};
        const FdEnd end = wait_fd(socket.fd, Interest::write, deadline);
        if (end.status != FdStatus::ready) return end;
    }
    return {};
}

PyObject* connection_sendall(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    Instant deadline = kNever;
    if (!enter("Connection.sendall", "sendall", arguments, count, names, 1, deadline)) return nullptr;
    std::size_t sent = 0;
    std::size_t size = 0;
    FdEnd end;
    if (PyBytes_CheckExact(arguments[0])) {
        size = static_cast<std::size_t>(PyBytes_GET_SIZE(arguments[0]));
        end = send_all(as_socket(self), PyBytes_AS_STRING(arguments[0]), size, deadline, sent);
    } else {
        Py_buffer data;
        if (PyObject_GetBuffer(arguments[0], &data, PyBUF_SIMPLE) != 0) return nullptr;
        size = static_cast<std::size_t>(data.len);
        end = send_all(as_socket(self), static_cast<const char*>(data.buf), size, deadline, sent);
        PyBuffer_Release(&data);
    }
    if (end.status == FdStatus::ready) Py_RETURN_NONE;
    if (end.status == FdStatus::timed_out)
        return raise_error("Timeout", "%zu of %zu bytes were sent before the timeout", sent, size);
    return raise_socket_end(as_socket(self), end, "");
}

PyObject* connection_shutdown(PyObject* self, PyObject* const* arguments, Py_ssize_t count) {
    int how = SHUT_WR;
    if (count > 1) return PyErr_Format(PyExc_TypeError, "shutdown() takes one argument, %zd were given", count);
    if (count == 1) {
        const char* name = PyUnicode_Check(arguments[0]) ? PyUnicode_AsUTF8(arguments[0]) : "";
        if (!name) return nullptr;
        if (std::strcmp(name, "read") == 0) how = SHUT_RD;
        else if (std::strcmp(name, "both") == 0) how = SHUT_RDWR;
        else if (std::strcmp(name, "write") != 0)
            return PyErr_Format(PyExc_ValueError, "shutdown() takes \"read\", \"write\" or \"both\", not %R",
                                arguments[0]);
    }
    const int fd = as_socket(self).fd.fd();
    if (fd < 0) return raise_error("Closed", "the socket is closed");
    if (shutdown(fd, how) != 0) return raise_errno(errno);
    if (how != SHUT_RD) as_socket(self).ended_writing = true;
    Py_RETURN_NONE;
}

PyObject* connection_has_unread(PyObject* self, void*) { return PyBool_FromLong(as_socket(self).unread != nullptr); }
// _lose_peer(): TLS has seen the stream end where the peer had not ended it.
PyObject* connection_lose_peer(PyObject* self, PyObject*) {
    as_socket(self).peer_has_gone = true;
    Py_RETURN_NONE;
}
PyObject* connection_peer_has_gone(PyObject* self, void*) { return PyBool_FromLong(as_socket(self).peer_has_gone); }

PyMethodDef connection_methods[] = {
    {"recv", SMARM_FAST_METHOD(connection_recv),
     "recv($self, size, timeout=None)\n--\n\nReturn at most size bytes as soon as there are any; b\"\" when the peer "
     "has shut down its "
     "side.\n\nOne call gives at most 256 KiB.  Raises Timeout, Closed when the connection is closed here, OSError."},
    {"recv_into", SMARM_FAST_METHOD(connection_recv_into),
     "recv_into($self, buffer, timeout=None)\n--\n\nAs recv, into a writable buffer; return the number of bytes, 0 at "
     "the end."},
    {"readline", SMARM_KEYWORD_METHOD(connection_readline),
     "readline($self, /, limit=65536, timeout=None)\n--\n\nReturn the next line, its b\"\\n\" included; without one "
     "when the stream ends in it, b\"\" at the end.\n\nRaises TooLong when it has more than limit bytes, Timeout, "
     "Closed, OSError: what came of it is read again."},
    {"lines", SMARM_KEYWORD_METHOD(connection_lines),
     "lines($self, /, limit=65536, timeout=None)\n--\n\nIterate over the lines, as readline gives them, until the "
     "stream ends.  The timeout is for each line."},
    {"read_exactly", SMARM_KEYWORD_METHOD(connection_read_exactly),
     "read_exactly($self, size, /, timeout=None)\n--\n\nReturn that many bytes.\n\nRaises EndOfStream when the "
     "stream ends before (partial has what came), Timeout, Closed, OSError."},
    {"_unread", connection_unread, METH_O, nullptr},
    {"_lose_peer", connection_lose_peer, METH_NOARGS, nullptr},
    {"sendall", SMARM_FAST_METHOD(connection_sendall),
     "sendall($self, data, timeout=None)\n--\n\nSend all of data; park whenever the peer is slower.\n\nOf several "
     "actors that send at once, "
     "long data may be mixed.  Raises Timeout (saying how much was sent), Closed, OSError."},
    {"shutdown", SMARM_POSITIONAL_METHOD(connection_shutdown),
     "shutdown($self, how='write', /)\n--\n\nEnd one direction (\"write\": the peer sees the end of the stream; "
     "\"read\") or \"both\"."},
    {"close", socket_close, METH_NOARGS,
     "close($self, /)\n--\n\nClose; actors that wait for it get Closed.  Again: does nothing."},
    {"detach", socket_detach, METH_NOARGS,
     "detach($self, /)\n--\n\nGive the file descriptor to the caller; the object is closed."},
    {"fileno", socket_fileno, METH_NOARGS, "fileno($self, /)\n--\n\nReturn the file descriptor, -1 when closed."},
    {"__enter__", socket_enter, METH_NOARGS, nullptr},
    {"__exit__", SMARM_POSITIONAL_METHOD(socket_exit), nullptr},
    {"__reduce__", socket_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef connection_attributes[] = {
    {"_has_unread", connection_has_unread, nullptr, nullptr, nullptr},
    {"_peer_has_gone", connection_peer_has_gone, nullptr, nullptr, nullptr},
    {"local_address", local_address, nullptr,
     "This end's address: (host, port), for IPv6 with flow and scope; a path for Unix sockets.", nullptr},
    {"peer_address", peer_address, nullptr, "The other end's address.", nullptr},
    {"closed", socket_closed, nullptr, "Whether it has been closed here.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyType_Slot connection_slots[] = {
    {Py_tp_doc, const_cast<char*>("A connected stream socket whose operations park the actor.  Connection(fd) takes "
                                  "over a connected socket's descriptor.")},
    {Py_tp_new, reinterpret_cast<void*>(socket_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(socket_dealloc)},
    {Py_tp_repr, reinterpret_cast<void*>(socket_repr)},
    {Py_tp_methods, connection_methods},
    {Py_tp_getset, connection_attributes},
    {0, nullptr},
};

PyType_Spec connection_spec = {"smarm.net.Connection", sizeof(SocketObject), 0,
                               Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, connection_slots};

// ---- Listener -------------------------------------------------------------------------------------------------------

// What accept(2) reports of a connection that has failed already: that one is over, the listener is not.
bool concerns_one_connection(int error) {
    switch (error) {
        case EINTR:
        case ECONNABORTED:
        case EPROTO:
        case ENETDOWN:
        case ENOPROTOOPT:
        case EHOSTDOWN:
        case ENONET:
        case EHOSTUNREACH:
        case ENETUNREACH: return true;
        default: return false;
    }
}

PyObject* listener_accept(PyObject* self, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    Instant deadline = kNever;
    Worker* worker = enter("Listener.accept", "accept", arguments, count, names, 0, deadline);
    if (!worker) return nullptr;
    SocketObject& socket = as_socket(self);
    auto& reactor = static_cast<Reactor&>(worker->driver());
    for (;;) {
        if (socket.fd.fd() < 0) return raise_error("Closed", "the socket was closed");
        if (!reactor.is_dry(socket.fd)) {
            // Others who share the listener may have taken the flag away.
            if (const int error = keep_nonblocking(socket.fd.fd())) return raise_errno(error);
            const int fd = accept4(socket.fd.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd >= 0) return make_socket(interpreter_state()->connection_type, fd, socket.short_read_means_dry);
            if (concerns_one_connection(errno)) continue;
            if (!refused(errno)) return raise_errno(errno);
            reactor.note_dry(socket.fd);
        }
        const FdEnd end = wait_fd(socket.fd, Interest::read, deadline);
        if (end.status != FdStatus::ready) return raise_socket_end(socket, end, "nobody connected before the timeout");
    }
}

PyMethodDef listener_methods[] = {
    {"accept", SMARM_FAST_METHOD(listener_accept),
     "accept($self, timeout=None)\n--\n\nReturn the next Connection.\n\nRaises Timeout, Closed when the listener is "
     "closed, OSError (EMFILE: "
     "too many open files)."},
    {"close", socket_close, METH_NOARGS,
     "close($self, /)\n--\n\nClose; actors in accept() get Closed.  Again: does nothing."},
    {"detach", socket_detach, METH_NOARGS,
     "detach($self, /)\n--\n\nGive the file descriptor to the caller; the object is closed."},
    {"fileno", socket_fileno, METH_NOARGS, "fileno($self, /)\n--\n\nReturn the file descriptor, -1 when closed."},
    {"__enter__", socket_enter, METH_NOARGS, nullptr},
    {"__exit__", SMARM_POSITIONAL_METHOD(socket_exit), nullptr},
    {"__reduce__", socket_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef listener_attributes[] = {
    {"address", local_address, nullptr, "Where it listens, with the real port when 0 was asked for.", nullptr},
    {"closed", socket_closed, nullptr, "Whether it has been closed.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyType_Slot listener_slots[] = {
    {Py_tp_doc,
     const_cast<char*>("A listening stream socket.  Listener(fd) takes over a listening socket's descriptor.")},
    {Py_tp_new, reinterpret_cast<void*>(socket_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(socket_dealloc)},
    {Py_tp_repr, reinterpret_cast<void*>(socket_repr)},
    {Py_tp_methods, listener_methods},
    {Py_tp_getset, listener_attributes},
    {0, nullptr},
};

PyType_Spec listener_spec = {"smarm.net.Listener", sizeof(SocketObject), 0,
                             Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, listener_slots};

}  // namespace

bool create_net_types(InterpreterState& state) {
    state.connection_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&connection_spec));
    state.listener_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&listener_spec));
    return state.connection_type && state.listener_type;
}

}  // namespace smarm::bind
