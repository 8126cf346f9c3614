// ssl sockets: the C object behind one is used with the socket in non-blocking mode, so that it says what it waits for
// (as exceptions) instead of waiting; the mode is put back before the actor parks, since others may use the socket
// meanwhile.
#include "smarm/interp/requested_exception.h"
#include "stdlib/socket_wait.h"

namespace smarm::stdlib {
namespace {

// Which of the two it is, cleared; nullptr: another exception, or none.
const Interest* wanted() {
    static constexpr Interest kRead = Interest::read;
    static constexpr Interest kWrite = Interest::write;
    PyObject* raised = PyErr_GetRaisedException();
    if (!raised) return nullptr;
    PyObject* name = PyUnicode_FromString("_ssl");
    PyObject* module = name ? PyImport_GetModule(name) : nullptr;
    Py_XDECREF(name);
    const auto is = [&](const char* type_name) {
        PyObject* type = module ? PyObject_GetAttrString(module, type_name) : nullptr;
        const bool same = type && PyErr_GivenExceptionMatches(raised, type);
        Py_XDECREF(type);
        drop_exception();
        return same;
    };
    const Interest* interest = is("SSLWantReadError") ? &kRead : is("SSLWantWriteError") ? &kWrite : nullptr;
    Py_XDECREF(module);
    if (interest) Py_DECREF(raised);
    else PyErr_SetRaisedException(raised);
    return interest;
}

bool set_timeout(PyObject* socket, PyObject* timeout) {
    PyObject* raised = PyErr_GetRaisedException();
    PyObject* done = PyObject_CallMethod(socket, "settimeout", "O", timeout);
    const bool ok = done != nullptr;
    Py_XDECREF(done);
    if (raised) {
        drop_exception();
        PyErr_SetRaisedException(raised);
    }
    return ok;
}

PyObject* call_parking(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                       PyObject* names, PyObject* socket, const Mode& mode) {
    for (;;) {
        PyObject* timeout = PyObject_CallMethod(socket, "gettimeout", nullptr);
        PyObject* zero = PyLong_FromLong(0);
        if (!timeout || !set_timeout(socket, zero)) {
            Py_XDECREF(timeout);
            return nullptr;
        }
        PyObject* result = original.call(self, values, count, names);
        const bool restored = set_timeout(socket, timeout);
        Py_DECREF(timeout);
        if (result && !restored) Py_CLEAR(result);
        if (result) return result;
        const Interest* interest = wanted();
        if (!interest) return nullptr;
        const FdEnd end = wait_fd(mode.fd, *interest, mode.deadline);
        if (end.status != FdStatus::ready)
            return raise_end(
                end, *interest == Interest::read ? "The read operation timed out" : "The write operation timed out");
    }
}

PyObject* park_instead(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                       PyObject* names) {
    if (!calling_actor()) return original.call(self, values, count, names);
    PyObject* socket = PyObject_GetAttrString(self, "owner");
    drop_exception();
    // An SSLObject, which has no socket, owns itself.
    const Mode mode = socket && is_socket(socket) ? mode_of(socket) : Mode();
    if (mode.parks && !pass_point(*this_actor())) {
        Py_XDECREF(socket);
        return nullptr;
    }
    PyObject* result = mode.parks ? call_parking(original, self, values, count, names, socket, mode)
                                  : original.call(self, values, count, names);
    Py_XDECREF(socket);
    return result;
}

}  // namespace

void install_ssl(PyObject* module) {
    or_leave(Patch<park_instead, 0>::install(module, "_SSLSocket", "read"));
    or_leave(Patch<park_instead, 1>::install(module, "_SSLSocket", "write"));
    or_leave(Patch<park_instead, 2>::install(module, "_SSLSocket", "do_handshake"));
    or_leave(Patch<park_instead, 3>::install(module, "_SSLSocket", "shutdown"));
}

}  // namespace smarm::stdlib
