// select.select, and the poll methods of poll and epoll objects: asked without waiting first, then the actor parks
// until one of their descriptors is ready, and they are asked again.
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <vector>

#include "smarm/interp/requested_exception.h"
#include "stdlib/event_loop.h"
#include "stdlib/socket_wait.h"

namespace smarm::stdlib {
namespace {

// Reads a timeout in units of `seconds`. 1: waits until `deadline`; 0: does not wait; -1: for the original to judge.
int read_timeout(PyObject* timeout, double unit, bool negative_is_never, Instant& deadline) {
    if (!timeout || timeout == Py_None) return 1;
    const double number = PyFloat_AsDouble(timeout);
    if (PyErr_Occurred()) {
        drop_exception();
        return -1;
    }
    if (std::isnan(number)) return -1;
    if (number == 0) return 0;
    if (number < 0) return negative_is_never ? 1 : -1;
    if (number * unit < 9e9)
        deadline = deadline_after(this_worker()->driver().now(),
                                  Duration(static_cast<Duration::rep>(std::ceil(number * unit * 1e9))));
    return 1;
}

// ---- select(r, w, x, timeout=None) ----------------------------------------------------------------------------------

bool add_all(PyObject* sequence, short events, std::vector<pollfd>& fds) {
    PyObject* items = PySequence_Fast(sequence, "");
    for (Py_ssize_t i = 0; items && i < PySequence_Fast_GET_SIZE(items); ++i) {
        const int fd = PyObject_AsFileDescriptor(PySequence_Fast_GET_ITEM(items, i));
        if (fd >= 0) fds.push_back({fd, events, 0});
    }
    Py_XDECREF(items);
    return !PyErr_Occurred();
}

bool is_empty_result(PyObject* result) {
    if (PyList_Check(result)) return PyList_GET_SIZE(result) == 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(result); ++i) {
        if (PyObject_Size(PyTuple_GET_ITEM(result, i)) != 0) return false;
    }
    return true;
}

// Asks without waiting until something is there, and parks in between.
template <class Ask>
PyObject* ask_and_park(Ask ask, EventLoopWait& loop, std::vector<pollfd>& fds, Instant deadline) {
    FdOpenings openings(fds);
    for (;;) {
        const FdEnd end = openings.wait(std::min(deadline, loop.again_at()));
        if (end.status == FdStatus::failed || end.status == FdStatus::closed) return raise_end(end);
        const bool again = end.status == FdStatus::timed_out && loop.again_at() < deadline;
        if ((again || end.status == FdStatus::exit_requested) && !loop.pass_point()) return nullptr;
        PyObject* result = ask();
        if (!result || (end.status == FdStatus::timed_out && !again) || !is_empty_result(result)) return result;
        Py_DECREF(result);
    }
}

PyObject* select(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count, PyObject* names) {
    Instant deadline = kNever;
    if (names || count < 3 || count > 4 || !calling_actor()) return original.call(self, values, count, names);
    EventLoopWait loop(*this_actor());
    if (!loop.pass_point()) return nullptr;
    if (read_timeout(count == 4 ? values[3] : nullptr, 1.0, false, deadline) != 1)
        return original.call(self, values, count, names);
    PyObject* zero = PyLong_FromLong(0);  // immortal
    PyObject* const now[] = {values[0], values[1], values[2], zero};
    const auto ask = [&] { return original.call(self, now, 4); };
    PyObject* result = ask();
    if (!result || !is_empty_result(result)) return result;
    Py_DECREF(result);
    std::vector<pollfd> fds;
    if (!add_all(values[0], POLLIN, fds) || !add_all(values[1], POLLOUT, fds) || !add_all(values[2], POLLPRI, fds))
        return nullptr;
    return ask_and_park(ask, loop, fds, deadline);
}

// ---- poll objects ---------------------------------------------------------------------------------------------------

// SAFETY: the first field of CPython's pollObject is the dict {fd: events}; install_select checks that before we count
//         on it.
PyObject* registrations(PyObject* poll) {
    return *reinterpret_cast<PyObject**>(reinterpret_cast<char*>(poll) + sizeof(PyObject));
}

bool registrations_are_known(PyObject* module) {
    PyObject* poll = PyObject_CallMethod(module, "poll", nullptr);
    PyObject* done = poll ? PyObject_CallMethod(poll, "register", "ii", 0, POLLIN | POLLOUT) : nullptr;
    bool known = false;
    if (done && Py_TYPE(poll)->tp_basicsize >= static_cast<Py_ssize_t>(sizeof(PyObject) + sizeof(PyObject*))) {
        PyObject* dict = registrations(poll);
        PyObject* key = PyLong_FromLong(0);
        PyObject* events = dict && PyDict_CheckExact(dict) && PyDict_GET_SIZE(dict) == 1
                               ? PyDict_GetItemWithError(dict, key)
                               : nullptr;
        known = events && PyLong_Check(events) && PyLong_AsLong(events) == (POLLIN | POLLOUT);
        Py_DECREF(key);
    }
    drop_exception();
    Py_XDECREF(done);
    Py_XDECREF(poll);
    return known;
}

PyObject* poll_poll(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                    PyObject* names) {
    Instant deadline = kNever;
    if (names || count > 1 || !calling_actor()) return original.call(self, values, count, names);
    EventLoopWait loop(*this_actor());
    if (!loop.pass_point()) return nullptr;
    if (read_timeout(count ? values[0] : nullptr, 1e-3, true, deadline) != 1)
        return original.call(self, values, count, names);
    PyObject* zero = PyLong_FromLong(0);
    const auto ask = [&] { return original.call(self, &zero, 1); };
    PyObject* result = ask();
    if (!result || !is_empty_result(result)) return result;
    Py_DECREF(result);
    std::vector<pollfd> fds;
    PyObject* fd = nullptr;
    PyObject* events = nullptr;
    Py_ssize_t position = 0;
    while (PyDict_Next(registrations(self), &position, &fd, &events))
        fds.push_back({static_cast<int>(PyLong_AsLong(fd)), static_cast<short>(PyLong_AsLong(events)), 0});
    return ask_and_park(ask, loop, fds, deadline);
}

// ---- epoll objects: such a descriptor is readable when one of its own is ready --------------------------------------

Original epoll_fileno;

PyObject* epoll_poll(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                     PyObject* names) {
    if (!calling_actor() || count > 2) return original.call(self, values, count, names);
    EventLoopWait loop(*this_actor());
    if (!loop.pass_point()) return nullptr;
    PyObject* timeout = count > 0 ? values[0] : nullptr;
    PyObject* most = count > 1 ? values[1] : nullptr;
    for (Py_ssize_t i = 0; i < (names ? PyTuple_GET_SIZE(names) : 0); ++i) {
        PyObject* name = PyTuple_GET_ITEM(names, i);
        if (PyUnicode_EqualToUTF8(name, "timeout") && !timeout) timeout = values[count + i];
        else if (PyUnicode_EqualToUTF8(name, "maxevents") && !most) most = values[count + i];
        else return original.call(self, values, count, names);
    }
    Instant deadline = kNever;
    if (read_timeout(timeout, 1.0, true, deadline) != 1) return original.call(self, values, count, names);
    PyObject* zero = PyLong_FromLong(0);
    PyObject* const now[] = {zero, most};
    const auto ask = [&] { return original.call(self, now, most ? 2 : 1); };
    PyObject* result = ask();
    if (!result || !is_empty_result(result)) return result;
    Py_DECREF(result);
    PyObject* number = epoll_fileno.call(self, nullptr, 0);
    if (!number) return nullptr;
    std::vector<pollfd> fds = {{static_cast<int>(PyLong_AsLong(number)), POLLIN, 0}};
    Py_DECREF(number);
    return ask_and_park(ask, loop, fds, deadline);
}

}  // namespace

void install_select(PyObject* module) {
    or_leave(Patch<select>::install(module, nullptr, "select"));
    if (epoll_fileno.function || find(module, "epoll", "fileno", epoll_fileno))
        or_leave(Patch<epoll_poll>::install(module, "epoll", "poll"));
    drop_exception();
    if (!registrations_are_known(module)) return;
    // poll() is a function: the type has no name in the module.
    PyObject* object = PyObject_CallMethod(module, "poll", nullptr);
    or_leave(object && Patch<poll_poll>::install(reinterpret_cast<PyObject*>(Py_TYPE(object)), nullptr, "poll"));
    Py_XDECREF(object);
}

}  // namespace smarm::stdlib
