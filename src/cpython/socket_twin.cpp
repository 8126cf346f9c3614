#include "cpython/socket_twin.h"

#include <cstddef>
#include <cstring>

#include <sys/socket.h>

#include "smarm/sched/worker.h"

namespace smarm::stdlib {
namespace {

// SAFETY: as PySocketSockObject in CPython's Modules/socketmodule.h, the same in 3.13, 3.14 and 3.15: plain data, no
//         references. learn_socket_layout() has compared it with a real object before anybody counts on it.
struct SocketObject {
    PyObject_HEAD int fd;
    int family;
    int type;
    int proto;
    void* raise_errno;
    std::int64_t timeout_ns;  // negative: blocking; 0: non-blocking
    void* module_state;
};

SocketObject& inside(PyObject* socket) { return *reinterpret_cast<SocketObject*>(socket); }

// _socket.socket of the interpreter, of which `socket`'s type is a subclass written in Python.
PyTypeObject* native_type(PyObject* socket) {
    PyTypeObject* type = Py_TYPE(socket);
    while (type->tp_base && type->tp_base != &PyBaseObject_Type) type = type->tp_base;
    return type;
}

bool says(PyObject* socket, const char* method, long number) {
    PyObject* said = PyObject_CallMethod(socket, method, nullptr);
    const bool same = said && PyLong_Check(said) && PyLong_AsLong(said) == number;
    Py_XDECREF(said);
    return same;
}

bool has(PyObject* socket, const char* attribute, long number) {
    PyObject* value = PyObject_GetAttrString(socket, attribute);
    const bool same = value && PyLong_Check(value) && PyLong_AsLong(value) == number;
    Py_XDECREF(value);
    return same;
}

bool follows_timeout(PyObject* socket, double seconds) {
    PyObject* done = PyObject_CallMethod(socket, "settimeout", "d", seconds);
    Py_XDECREF(done);
    return done && inside(socket).timeout_ns == static_cast<std::int64_t>(seconds * 1e9);
}

bool is_as_we_know(PyObject* socket) {
    if (native_type(socket)->tp_basicsize != sizeof(SocketObject)) return false;
    const SocketObject& it = inside(socket);
    if (it.timeout_ns >= 0 || !says(socket, "fileno", it.fd) || !has(socket, "family", it.family) ||
        !has(socket, "type", it.type) || !has(socket, "proto", it.proto))
        return false;
    if (!follows_timeout(socket, 2.5) || !follows_timeout(socket, 0.0) || !follows_timeout(socket, 1e6)) return false;
    const SocketTwin twin(socket);
    return twin.get() && inside(twin.get()).timeout_ns == 0 && says(twin.get(), "fileno", it.fd) &&
           says(socket, "fileno", it.fd) && it.timeout_ns == 1'000'000'000'000'000;
}

}  // namespace

bool learn_socket_layout(PyObject* module) {
    static bool known = false;  // guarded by install_module's mutex
    if (known) return true;
    PyObject* before = PyObject_CallMethod(module, "getdefaulttimeout", nullptr);
    PyObject* socket = before == Py_None ? PyObject_CallMethod(module, "socket", "ii", AF_UNIX, SOCK_STREAM) : nullptr;
    known = socket && is_as_we_know(socket);
    PyObject* closed = socket ? PyObject_CallMethod(socket, "close", nullptr) : nullptr;
    Py_XDECREF(closed);
    Py_XDECREF(socket);
    Py_XDECREF(before);
    PyErr_Clear();
    return known;
}

bool is_socket(PyObject* object) { return std::strcmp(native_type(object)->tp_name, "_socket.socket") == 0; }

int fd_of(PyObject* socket) { return inside(socket).fd; }

bool is_blocking(PyObject* socket) { return inside(socket).timeout_ns < 0; }

Mode mode_of(PyObject* socket) {
    const SocketObject& it = inside(socket);
    Mode mode;
    mode.socket = socket;
    mode.fd = it.fd;
    mode.family = it.family;
    mode.stream = it.type == SOCK_STREAM;
    mode.connects_slowly = it.type == SOCK_STREAM || it.type == SOCK_SEQPACKET;
    mode.has_timeout = it.timeout_ns > 0;
    mode.parks = it.fd >= 0 && it.timeout_ns != 0;
    if (mode.has_timeout) mode.deadline = deadline_after(this_worker()->driver().now(), Duration(it.timeout_ns));
    return mode;
}

SocketTwin::SocketTwin(PyObject* socket) {
    PyTypeObject* type = native_type(socket);
    twin_ = type->tp_alloc(type, 0);
    if (!twin_) return;
    const std::size_t head = offsetof(SocketObject, fd);
    std::memcpy(reinterpret_cast<char*>(twin_) + head, reinterpret_cast<char*>(socket) + head,
                sizeof(SocketObject) - head);
    inside(twin_).timeout_ns = 0;
}

SocketTwin::~SocketTwin() {
    if (!twin_) return;
    inside(twin_).fd = -1;  // or its end would close the descriptor; an audit hook may keep the object for longer
    Py_DECREF(twin_);
}

}  // namespace smarm::stdlib
