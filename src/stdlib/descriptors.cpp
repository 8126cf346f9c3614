// Closing descriptors: os.close, os.dup2, os.closerange, and sockets' close and detach end the waits for them. And
// os.sendfile.
//
// A thread that is no actor tells the others too, as far as it can: see abandon_fd. It must not wait for another
// closer, which may need the interpreter that the thread holds.
#include <algorithm>
#include <cerrno>
#include <climits>

#include <fcntl.h>

#include "smarm/interp/requested_exception.h"
#include "smarm/sched/scheduler.h"
#include "stdlib/socket_wait.h"

namespace smarm::stdlib {
namespace {

// Reads an argument that is a descriptor. -1: it is for the original to judge.
int read_fd_argument(PyObject* value) {
    int overflow = 0;
    if (!value || !PyLong_CheckExact(value)) return -1;
    const long number = PyLong_AsLongAndOverflow(value, &overflow);
    return overflow || number < 0 || number > INT_MAX ? -1 : static_cast<int>(number);
}

Scheduler* own_scheduler() { return this_worker() ? &this_worker()->scheduler() : nullptr; }

// Runs close_it(), which returns 0 or errno, without the interpreter: a close may take its time.
template <class CloseIt>
int run_detached(CloseIt close_it) {
    int error = 0;
    Py_BEGIN_ALLOW_THREADS error = close_it();
    Py_END_ALLOW_THREADS return error;
}

PyObject* none_or_raise(int error) {
    if (error == 0) Py_RETURN_NONE;
    errno = error;
    return PyErr_SetFromErrno(PyExc_OSError);
}

// ---- os -------------------------------------------------------------------------------------------------------------

PyObject* close_number(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                       PyObject* names) {
    const bool one = count + (names ? PyTuple_GET_SIZE(names) : 0) == 1 &&
                     (!names || PyUnicode_EqualToUTF8(PyTuple_GET_ITEM(names, 0), "fd"));
    const int fd = one ? read_fd_argument(values[0]) : -1;
    if (fd >= 0 && calling_actor()) {
        Scheduler* scheduler = own_scheduler();
        return none_or_raise(run_detached([=] { return close_fd(fd, scheduler); }));
    }
    if (fd >= 0) abandon_fd(fd, nullptr);
    return original.call(self, values, count, names);
}

// dup2(fd, fd2, inheritable=True)
PyObject* duplicate(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                    PyObject* names) {
    static constexpr const char* kNames[] = {"fd", "fd2", "inheritable"};
    PyObject* given[3] = {};
    bool known = count <= 3;
    for (Py_ssize_t i = 0; known && i < count; ++i) given[i] = values[i];
    for (Py_ssize_t i = 0; known && i < (names ? PyTuple_GET_SIZE(names) : 0); ++i) {
        const auto name = std::find_if(
            kNames, kNames + 3, [&](const char* it) { return PyUnicode_EqualToUTF8(PyTuple_GET_ITEM(names, i), it); });
        known = name != kNames + 3 && !given[name - kNames];
        if (known) given[name - kNames] = values[count + i];
    }
    const int from = known ? read_fd_argument(given[0]) : -1;
    const int fd = known ? read_fd_argument(given[1]) : -1;
    const bool plain = !given[2] || PyBool_Check(given[2]);
    // Nothing leaves the number when the call fails, or both are the same.
    if (from < 0 || fd < 0 || from == fd || !plain || fcntl(from, F_GETFD) < 0)
        return original.call(self, values, count, names);
    if (!calling_actor()) {
        abandon_fd(fd, nullptr);
        return original.call(self, values, count, names);
    }
    const int flags = given[2] == Py_False ? O_CLOEXEC : 0;
    Scheduler* scheduler = own_scheduler();
    const int error = run_detached([=] { return replace_fd(fd, from, flags, scheduler); });
    return error ? none_or_raise(error) : PyLong_FromLong(fd);
}

PyObject* close_range(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                      PyObject* names) {
    if (count == 2 && !names) {
        const int first = read_fd_argument(values[0]);
        const int end = read_fd_argument(values[1]);
        if (first >= 0 && end > first) abandon_fds(first, end - 1, calling_actor() ? own_scheduler() : nullptr);
    }
    return original.call(self, values, count, names);
}

// sendfile(out_fd, in_fd, offset, count)
PyObject* send_file_parking(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                            PyObject* names) {
    static constexpr const char* kNames[] = {"out_fd", "in_fd", "offset", "count"};
    const Py_ssize_t named = names ? PyTuple_GET_SIZE(names) : 0;
    bool known = calling_actor() && count + named == 4;
    for (Py_ssize_t i = 0; known && i < named; ++i)  // in their order, as socket.sendfile gives none
        known = PyUnicode_EqualToUTF8(PyTuple_GET_ITEM(names, i), kNames[count + i]);
    if (!known) return original.call(self, values, count, names);
    const int to = read_fd_argument(values[0]);
    const int from = read_fd_argument(values[1]);
    const long long size = PyLong_Check(values[3]) ? PyLong_AsLongLong(values[3]) : -1;
    const long long position = PyLong_Check(values[2]) ? PyLong_AsLongLong(values[2]) : -1;
    drop_exception();
    if (to < 0 || from < 0 || size < 0 || (position < 0 && values[2] != Py_None))
        return original.call(self, values, count, names);
    if (!pass_point(*this_actor())) return nullptr;
    off_t offset = position;
    std::size_t sent = 0;
    const FdEnd end =
        send_file(to, from, values[2] == Py_None ? nullptr : &offset, static_cast<std::size_t>(size), sent);
    return end.status == FdStatus::ready ? PyLong_FromSize_t(sent) : raise_end(end);
}

// ---- sockets --------------------------------------------------------------------------------------------------------

Original detach_method;

PyObject* close_socket(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                       PyObject* names) {
    if (fd_of(self) < 0 || count || names) return original.call(self, values, count, names);
    if (!calling_actor()) {
        abandon_fd(fd_of(self), nullptr);
        return original.call(self, values, count, names);
    }
    PyObject* number = detach_method.call(self, nullptr, 0);
    const int fd = number ? read_fd_argument(number) : -1;
    Py_XDECREF(number);
    if (fd < 0) return nullptr;
    Scheduler* scheduler = own_scheduler();
    const int error = run_detached([=] { return close_fd(fd, scheduler); });
    return none_or_raise(error == ECONNRESET ? 0 : error);  // the peer has gone: CPython does not mind either
}

// The object has the number no longer: its waits end. Those of others go on, as the file stays open; and if the number
// has become another file's, it is none of this object's business.
PyObject* detach_socket(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                        PyObject* names) {
    if (fd_of(self) >= 0 && calling_actor())
        static_cast<Reactor&>(this_worker()->driver()).end_waits(fd_of(self), self);
    return original.call(self, values, count, names);
}

}  // namespace

void install_descriptors(PyObject* module) {
    or_leave(Patch<close_number, 0>::install(module, nullptr, "close"));
    or_leave(Patch<duplicate>::install(module, nullptr, "dup2"));
    or_leave(Patch<close_range>::install(module, nullptr, "closerange"));
    or_leave(Patch<send_file_parking>::install(module, nullptr, "sendfile"));
}

void install_socket_closing(PyObject* module) {
    or_leave(Patch<close_number, 1>::install(module, nullptr, "close"));
    if (!detach_method.function && !find(module, "socket", "detach", detach_method)) return drop_exception();
    or_leave(Patch<close_socket>::install(module, "socket", "close"));
    or_leave(Patch<detach_socket>::install(module, "socket", "detach"));
}

}  // namespace smarm::stdlib
