#include "bind/io_functions.h"

#include <cerrno>
#include <vector>

#include "bind/arguments.h"
#include "bind/blocking_call.h"
#include "bind/net_types.h"
#include "interp/method_table.h"
#include "smarm/interp/errors.h"
#include "smarm/interp/py_rider.h"
#include "smarm/runtime/runtime.h"

namespace smarm::bind {
namespace {

constexpr const char* kClosed = "the file descriptor was closed while the actor waited for it";

// Reads (fd, ..., timeout=None). False with an exception set.
bool read_arguments(const char* function, Worker& worker, PyObject* const* arguments, Py_ssize_t count, PyObject* names,
                    Py_ssize_t required, int& fd, Instant& deadline) {
    PyObject* timeout = Py_None;
    if (!read_timeout_keyword(function, arguments, count, names, required, &timeout)) return false;
    if (!read_timeout(timeout, worker, deadline)) return false;
    fd = PyObject_AsFileDescriptor(arguments[0]);
    return fd >= 0;
}

PyObject* wait_ready(const char* function, Interest interest, PyObject* const* arguments, Py_ssize_t count,
                     PyObject* names) {
    Worker* worker = enter_wait(function);
    int fd = -1;
    Instant deadline = kNever;
    if (!worker || !read_arguments(function, *worker, arguments, count, names, 1, fd, deadline)) return nullptr;
    const int is_ready = interest == Interest::read ? has_unread(arguments[0]) : 0;
    if (is_ready < 0) return nullptr;
    const FdEnd end = is_ready ? FdEnd{} : wait_fd(fd, interest, deadline);
    if (end.status == FdStatus::ready) Py_RETURN_NONE;
    return raise_fd_end(end,
                        interest == Interest::read ? "nothing to read came before the timeout"
                                                   : "there was no room to write before the timeout",
                        kClosed);
}

PyObject* wait_readable(PyObject*, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    return wait_ready("wait_readable", Interest::read, arguments, count, names);
}

PyObject* wait_writable(PyObject*, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    return wait_ready("wait_writable", Interest::write, arguments, count, names);
}

PyObject* read_some(PyObject*, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    Worker* worker = enter_wait("read");
    int fd = -1;
    Instant deadline = kNever;
    if (!worker || !read_arguments("read", *worker, arguments, count, names, 2, fd, deadline)) return nullptr;
    const Py_ssize_t size = PyNumber_AsSsize_t(arguments[1], PyExc_OverflowError);
    if (size == -1 && PyErr_Occurred()) return nullptr;
    if (size < 0) return PyErr_Format(PyExc_ValueError, "read() takes a size of 0 or more bytes, not %zd", size);
    PyObject* bytes = PyBytes_FromStringAndSize(nullptr, size);
    if (!bytes) return nullptr;
    std::size_t got = 0;
    const FdEnd end = read_fd(fd, PyBytes_AS_STRING(bytes), static_cast<std::size_t>(size), deadline, got);
    if (end.status != FdStatus::ready) {
        Py_DECREF(bytes);
        return raise_fd_end(end, "nothing to read came before the timeout", kClosed);
    }
    if (got != static_cast<std::size_t>(size)) _PyBytes_Resize(&bytes, static_cast<Py_ssize_t>(got));
    return bytes;
}

PyObject* write_all(PyObject*, PyObject* const* arguments, Py_ssize_t count, PyObject* names) {
    Worker* worker = enter_wait("write");
    int fd = -1;
    Instant deadline = kNever;
    if (!worker || !read_arguments("write", *worker, arguments, count, names, 2, fd, deadline)) return nullptr;
    Py_buffer data;
    if (PyObject_GetBuffer(arguments[1], &data, PyBUF_SIMPLE) != 0) return nullptr;
    std::size_t written = 0;
    const auto size = static_cast<std::size_t>(data.len);
    const FdEnd end = write_fd(fd, data.buf, size, deadline, written);
    PyBuffer_Release(&data);
    if (end.status == FdStatus::ready) Py_RETURN_NONE;
    if (end.status == FdStatus::timed_out)
        return raise_error("Timeout", "%zu of %zu bytes were written before the timeout", written, size);
    return raise_fd_end(end, "", kClosed);
}

PyObject* close_descriptor(PyObject*, PyObject* object) {
    const int fd = PyObject_AsFileDescriptor(object);
    if (fd < 0) return nullptr;
    const int error = close_fd(fd, scheduler_or_null());
    if (error == 0) Py_RETURN_NONE;
    errno = error;
    return PyErr_SetFromErrno(PyExc_OSError);
}

PyObject* abandon_descriptor(PyObject*, PyObject* object) {
    const int fd = PyObject_AsFileDescriptor(object);
    if (fd < 0) return nullptr;
    abandon_fd(fd, scheduler_or_null());
    Py_RETURN_NONE;
}

PyMethodDef io_functions[] = {
    {"wait_readable", SMARM_FAST_METHOD(wait_readable),
     "wait_readable(fd, timeout=None)\n--\n\nPark the actor until fd can be read, hangs up or fails.\n\nfd is an int "
     "or has fileno().  "
     "Regular files are always ready.  Raises Timeout, Closed when io.close ends the wait, OSError (EBADF), "
     "ValueError."},
    {"wait_writable", SMARM_FAST_METHOD(wait_writable),
     "wait_writable(fd, timeout=None)\n--\n\nPark the actor until fd can be written, hangs up or fails.  As "
     "wait_readable."},
    {"read", SMARM_FAST_METHOD(read_some),
     "read(fd, size, timeout=None)\n--\n\nRead at most size bytes as soon as there are any; b\"\" at the end of the "
     "file.\n\nParks the "
     "actor, whatever O_NONBLOCK says.  Regular files are read at once, which may wait for the disk: block_on_io is "
     "for that.\nRaises "
     "Timeout, Closed, OSError, ValueError."},
    {"write", SMARM_FAST_METHOD(write_all),
     "write(fd, data, timeout=None)\n--\n\nWrite all of data, parking the actor whenever there is no room.\n\nRaises "
     "Timeout (saying how "
     "much was written), Closed, OSError (BrokenPipeError when nobody reads), TypeError."},
    {"close", close_descriptor, METH_O,
     "close(fd, /)\n--\n\nClose fd; actors of any worker that wait for it get Closed.\n\nRaises OSError (EBADF) when "
     "it is closed already."},
    {"_abandon", abandon_descriptor, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

int has_unread(PyObject* file) {
    if (PyLong_CheckExact(file)) return 0;
    PyObject* answer = nullptr;
    if (PyObject_GetOptionalAttrString(file, "_has_unread", &answer) <= 0) return PyErr_Occurred() ? -1 : 0;
    const int truth = PyObject_IsTrue(answer);
    Py_DECREF(answer);
    return truth;
}

Scheduler* scheduler_or_null() noexcept {
    Runtime* runtime = Runtime::current();
    return runtime ? &runtime->scheduler() : nullptr;
}

PyObject* raise_fd_end(const FdEnd& end, const char* timed_out, const char* closed) {
    switch (end.status) {
        case FdStatus::closed: return raise_error("Closed", "%s", closed);
        case FdStatus::timed_out: return raise_error("Timeout", "%s", timed_out);
        case FdStatus::exit_requested: return raise_exit();
        case FdStatus::failed: errno = end.error; return PyErr_SetFromErrno(PyExc_OSError);
        case FdStatus::ready: break;
    }
    SMARM_ASSERT(false, "raise_fd_end(ready)");
    return nullptr;
}

bool add_io(PyObject* core, InterpreterState& state) {
    if (!create_net_types(state)) return false;
    PyObject* module = PyModule_New("smarm.io");
    const bool added =
        module && PyModule_AddFunctions(module, io_functions) == 0 && PyModule_AddObjectRef(core, "_io", module) == 0 &&
        PyModule_AddFunctions(core, blocking_functions) == 0 &&
        PyModule_AddObjectRef(core, "Connection", reinterpret_cast<PyObject*>(state.connection_type)) == 0 &&
        PyModule_AddObjectRef(core, "Listener", reinterpret_cast<PyObject*>(state.listener_type)) == 0;
    Py_XDECREF(module);
    return added;
}

}  // namespace smarm::bind
