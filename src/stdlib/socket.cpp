#include "smarm/stdlib/socket.h"

#include <cerrno>
#include <cstring>
#include <mutex>

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#include "smarm/interp/blocking_pool.h"
#include "smarm/interp/imports.h"
#include "smarm/interp/point.h"
#include "smarm/sched/scheduler.h"
#include "stdlib/socket_wait.h"

namespace smarm {
namespace stdlib {
namespace {

// Of _socket.socket; not replaced, and called on objects that have come in as `self` only.
Original fileno_method;
Original gettimeout_method;
Original settimeout_method;

int fd_of(PyObject* socket) {
    PyObject* number = fileno_method.call(socket, nullptr, 0);
    const long fd = number ? PyLong_AsLong(number) : -1;
    Py_XDECREF(number);
    if (PyErr_Occurred()) PyErr_Clear();
    return static_cast<int>(fd);
}

Mode mode_of(PyObject* socket) { return mode_from(gettimeout_method.call(socket, nullptr, 0), fd_of(socket)); }

// Parks until the fd is ready at this very moment: of several actors that were woken one is first.
FdEnd wait_now(int fd, Interest interest, Instant deadline) {
    for (;;) {
        const FdEnd end = wait_fd(fd, interest, deadline);
        if (end.status != FdStatus::ready) return end;
        pollfd look{fd, static_cast<short>(interest == Interest::read ? POLLIN : POLLOUT), 0};
        if (poll(&look, 1, 0) != 0) return end;
    }
}

template <Interest interest>
PyObject* wait_then_call(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                         PyObject* names) {
    if (calling_actor()) {
        const Mode mode = mode_of(self);
        if (mode.parks) {
            if (!pass_point(*this_actor())) return nullptr;
            const FdEnd end = wait_now(mode.fd, interest, mode.deadline);
            if (end.status != FdStatus::ready) return raise_end(end);
        }
    }
    return original.call(self, values, count, names);
}

// ---- send, sendall: a blocking socket must not be given more than it takes -----------------------------------------------------

// Reads (data, flags=0). False: it is for the original to judge.
bool read_data(PyObject* const* values, Py_ssize_t count, PyObject* names, Py_buffer& data, int& flags) {
    if (names || count < 1 || count > 2 || (count == 2 && !PyLong_Check(values[1]))) return false;
    if (count == 2) {
        int overflow = 0;
        const long value = PyLong_AsLongAndOverflow(values[1], &overflow);
        if (overflow || value != static_cast<int>(value)) return false;
        flags = static_cast<int>(value);
    }
    if (PyUnicode_Check(values[0]) || PyObject_GetBuffer(values[0], &data, PyBUF_SIMPLE) != 0) {
        PyErr_Clear();
        return false;
    }
    return true;
}

// Sends once (all: until everything is sent).
FdEnd send_data(const Mode& mode, const Py_buffer& data, int flags, bool all, std::size_t& sent) {
    const auto* bytes = static_cast<const char*>(data.buf);
    const auto size = static_cast<std::size_t>(data.len);
    for (;;) {
        const ssize_t count = send(mode.fd, bytes + sent, size - sent, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count >= 0) {
            sent += static_cast<std::size_t>(count);
            if (!all || sent >= size) return {};
            continue;
        }
        if (errno == EINTR) continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK) return {FdStatus::failed, errno};
        const FdEnd end = wait_fd(mode.fd, Interest::write, mode.deadline);
        if (end.status != FdStatus::ready) return end;
    }
}

template <bool all>
PyObject* send_parking(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                       PyObject* names) {
    Py_buffer data;
    int flags = 0;
    const Mode mode = calling_actor() ? mode_of(self) : Mode();
    if (!mode.parks || !read_data(values, count, names, data, flags)) return original.call(self, values, count, names);
    std::size_t sent = 0;
    if (!pass_point(*this_actor())) {
        PyBuffer_Release(&data);
        return nullptr;
    }
    const FdEnd end = send_data(mode, data, flags, all, sent);
    PyBuffer_Release(&data);
    if (end.status != FdStatus::ready) return raise_end(end);
    if (all) Py_RETURN_NONE;
    return PyLong_FromSize_t(sent);
}

// ---- connect ---------------------------------------------------------------------------------------------------------------------

// Calls the original connect_ex with the socket in non-blocking mode. Returns errno, or -1 with an exception set.
int start_connecting(const Original& connect_ex, PyObject* self, PyObject* address) {
    PyObject* timeout = gettimeout_method.call(self, nullptr, 0);
    PyObject* zero = timeout ? PyLong_FromLong(0) : nullptr;
    PyObject* done = zero ? settimeout_method.call(self, &zero, 1) : nullptr;
    Py_XDECREF(zero);
    PyObject* code = done ? connect_ex.call(self, &address, 1) : nullptr;
    Py_XDECREF(done);
    PyObject* raised = PyErr_GetRaisedException();
    if (timeout) Py_XDECREF(settimeout_method.call(self, &timeout, 1));
    Py_XDECREF(timeout);
    if (raised) PyErr_SetRaisedException(raised);
    const long number = code && !PyErr_Occurred() ? PyLong_AsLong(code) : -1;
    Py_XDECREF(code);
    return static_cast<int>(number);
}

Original connect_ex_method;

// `error` is errno when the end is failed or ready (0: connected).
FdEnd connect_parking(PyObject* self, PyObject* address, const Mode& mode, int& error) {
    for (;;) {
        error = start_connecting(connect_ex_method, self, address);
        if (error != EAGAIN) break;
        // A Unix socket whose backlog is full: nothing tells when it is not.
        Worker& worker = *this_worker();
        if (mode.deadline != kNever && worker.driver().now() >= mode.deadline) return {FdStatus::timed_out};
        const Instant soon = deadline_after(worker.driver().now(), std::chrono::milliseconds(1));
        if (worker.park(WaitReason::fd, std::min(soon, mode.deadline)).requested)
            return {FdStatus::exit_requested};
    }
    if (error != EINPROGRESS) return {};
    const FdEnd end = wait_fd(mode.fd, Interest::write, mode.deadline);
    if (end.status != FdStatus::ready) return end;
    socklen_t size = sizeof error;
    if (getsockopt(mode.fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    return end;
}

template <bool raises>
PyObject* connect(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                  PyObject* names) {
    const Mode mode = count == 1 && !names && calling_actor() ? mode_of(self) : Mode();
    if (!mode.parks) return original.call(self, values, count, names);
    if (!pass_point(*this_actor())) return nullptr;
    int error = 0;
    const FdEnd end = connect_parking(self, values[0], mode, error);
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

// ---- names -----------------------------------------------------------------------------------------------------------------------

bool needs_no_lookup(PyObject* host) {
    if (host == Py_None) return true;
    const char* text = PyUnicode_Check(host) ? PyUnicode_AsUTF8(host)
                       : PyBytes_Check(host) ? PyBytes_AS_STRING(host)
                                             : nullptr;
    if (!text) {
        PyErr_Clear();
        return true;  // for the original to judge
    }
    unsigned char binary[sizeof(in6_addr)];
    return inet_pton(AF_INET, text, binary) == 1 || inet_pton(AF_INET6, text, binary) == 1;
}

PyObject* look_up(const char* name, const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                  PyObject* names) {
    bool simple = names || count < 1 || (!PyTuple_Check(values[0]) && needs_no_lookup(values[0]));
    // getaddrinfo's flags: the caller says that there is nothing to look up.
    int overflow = 0;
    if (count == 6 && PyLong_Check(values[5]) && (PyLong_AsLongAndOverflow(values[5], &overflow) & AI_NUMERICHOST))
        simple = true;
    if (simple || !calling_actor()) return original.call(self, values, count, names);
    if (!pass_point(*this_actor())) return nullptr;
    // Called again on a pool thread, where there is no actor.
    PyObject* function = PyObject_GetAttrString(self, name);
    PyObject* arguments = function ? PyTuple_New(count) : nullptr;
    for (Py_ssize_t i = 0; arguments && i < count; ++i) PyTuple_SET_ITEM(arguments, i, Py_NewRef(values[i]));
    PyObject* result = arguments ? interpreter_state()->blocking->call(function, arguments, kNever) : nullptr;
    Py_XDECREF(arguments);
    Py_XDECREF(function);
    return result;
}

struct Getaddrinfo {
    static constexpr const char* kName = "getaddrinfo";
};
struct Getnameinfo {
    static constexpr const char* kName = "getnameinfo";
};
struct Gethostbyname {
    static constexpr const char* kName = "gethostbyname";
};
struct GethostbynameEx {
    static constexpr const char* kName = "gethostbyname_ex";
};
struct Gethostbyaddr {
    static constexpr const char* kName = "gethostbyaddr";
};

template <class Function>
PyObject* look_up(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                  PyObject* names) {
    return look_up(Function::kName, original, self, values, count, names);
}

// ---- close -----------------------------------------------------------------------------------------------------------------------

// Closing a socket ends the waits for it, from whichever thread.
PyObject* close_socket(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                       PyObject* names) {
    const int fd = this_worker() ? fd_of(self) : -1;
    if (fd >= 0) abandon_fd(fd, &this_worker()->scheduler());
    return original.call(self, values, count, names);
}

// ---- when a module is imported ---------------------------------------------------------------------------------------------------

void install_module(PyObject* module) {
    const char* name = PyModule_Check(module) ? PyModule_GetName(module) : nullptr;
    static std::mutex mutex;  // interpreters import at the same time: one of them does it for all
    std::unique_lock guard(mutex, std::try_to_lock);
    if (name && guard) {
        if (std::strcmp(name, "_socket") == 0) install_socket(module);
        else if (std::strcmp(name, "select") == 0) install_select(module);
        else if (std::strcmp(name, "_ssl") == 0) install_ssl(module);
        else if (std::strcmp(name, "_queue") == 0) install_queue(module);
    }
    PyErr_Clear();
}

PyObject* exec_module(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                      PyObject* names) {
    PyObject* result = original.call(self, values, count, names);
    if (result && count >= 1) install_module(values[0]);
    return result;
}
}  // namespace

void install_socket(PyObject* module) {
    const auto find_one = [module](const char* name, Original& original) {
        return original.function || find(module, "socket", name, original);
    };
    if (!find_one("fileno", fileno_method) || !find_one("gettimeout", gettimeout_method) ||
        !find_one("settimeout", settimeout_method) || !find_one("connect_ex", connect_ex_method))
        return;
    constexpr auto kRead = wait_then_call<Interest::read>;
    constexpr auto kWrite = wait_then_call<Interest::write>;
    // connect_ex was looked up first: connect needs the one that was there before.
    or_leave(Patch<kRead, 0>::install(module, "socket", "_accept"));
    or_leave(Patch<kRead, 1>::install(module, "socket", "recv"));
    or_leave(Patch<kRead, 2>::install(module, "socket", "recv_into"));
    or_leave(Patch<kRead, 3>::install(module, "socket", "recvfrom"));
    or_leave(Patch<kRead, 4>::install(module, "socket", "recvfrom_into"));
    or_leave(Patch<kRead, 5>::install(module, "socket", "recvmsg"));
    or_leave(Patch<kRead, 6>::install(module, "socket", "recvmsg_into"));
    or_leave(Patch<kWrite, 0>::install(module, "socket", "sendto"));
    or_leave(Patch<kWrite, 1>::install(module, "socket", "sendmsg"));
    or_leave(Patch<send_parking<false>>::install(module, "socket", "send"));
    or_leave(Patch<send_parking<true>>::install(module, "socket", "sendall"));
    or_leave(Patch<connect<true>>::install(module, "socket", "connect"));
    or_leave(Patch<connect<false>>::install(module, "socket", "connect_ex"));
    or_leave(Patch<close_socket>::install(module, "socket", "close"));
    or_leave(Patch<look_up<Getaddrinfo>>::install(module, nullptr, "getaddrinfo"));
    or_leave(Patch<look_up<Getnameinfo>>::install(module, nullptr, "getnameinfo"));
    or_leave(Patch<look_up<Gethostbyname>>::install(module, nullptr, "gethostbyname"));
    or_leave(Patch<look_up<GethostbynameEx>>::install(module, nullptr, "gethostbyname_ex"));
    or_leave(Patch<look_up<Gethostbyaddr>>::install(module, nullptr, "gethostbyaddr"));
}

Mode mode_from(PyObject* timeout, int fd) {
    Mode mode;
    mode.fd = fd;
    if (!timeout) {
        PyErr_Clear();
        return mode;
    }
    mode.parks = fd >= 0;
    if (timeout != Py_None) {
        const double seconds = PyFloat_AsDouble(timeout);
        PyErr_Clear();
        if (!(seconds > 0)) mode.parks = false;
        else if (seconds < 9e9)
            mode.deadline =
                deadline_after(this_worker()->driver().now(), Duration(static_cast<Duration::rep>(seconds * 1e9)));
    }
    Py_DECREF(timeout);
    return mode;
}

PyObject* raise_end(const FdEnd& end, const char* timed_out) {
    switch (end.status) {
        case FdStatus::timed_out: PyErr_SetString(PyExc_TimeoutError, timed_out); return nullptr;
        case FdStatus::exit_requested: return raise_exit();
        case FdStatus::failed: errno = end.error; break;
        default: errno = EBADF;
    }
    return PyErr_SetFromErrno(PyExc_OSError);
}

}  // namespace stdlib

bool install_stdlib_sockets() {
    static bool installed = false;  // guarded by the main interpreter's GIL
    if (installed) return true;
    PyObject* module = import_module("_imp");
    installed = module && stdlib::Patch<stdlib::exec_module, 0>::install(module, nullptr, "exec_dynamic") &&
                stdlib::Patch<stdlib::exec_module, 1>::install(module, nullptr, "exec_builtin");
    Py_XDECREF(module);
    for (const char* name : {"_socket", "select", "_ssl", "_queue"}) {
        PyObject* key = PyUnicode_FromString(name);
        PyObject* present = key ? PyImport_GetModule(key) : nullptr;
        if (present) stdlib::install_module(present);
        Py_XDECREF(present);
        Py_XDECREF(key);
    }
    return installed;
}

}  // namespace smarm
