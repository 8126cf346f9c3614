// Receiving and sending. Each call is CPython's own on a twin of the socket, with MSG_DONTWAIT: the system says whether
// it would have to wait, and then the actor parks. So it does not matter when somebody else is faster between a look at
// the socket (may_have_input) and the call.
#include <algorithm>
#include <cerrno>

#include <sys/socket.h>

#include "smarm/interp/requested_exception.h"
#include "stdlib/socket_wait.h"

namespace smarm::stdlib {
namespace {

// ---- arguments ------------------------------------------------------------------------------------------------------

// Where a function has its flags, and what stands before them when they are not given.
struct Signature {
    const char* names[3];  // of the positions; nullptr: only by position
    PyObject* (*defaults[3])();
    int flags_at;
};

PyObject* zero() { return PyLong_FromLong(0); }
PyObject* nothing() { return PyTuple_New(0); }

constexpr Signature kReceive = {{nullptr, nullptr, nullptr}, {nullptr, zero, nullptr}, 1};  // (size, flags)
constexpr Signature kReceiveInto = {
    {"buffer", "nbytes", "flags"}, {nullptr, zero, zero}, 2};  // (buffer, nbytes, flags)
constexpr Signature kReceiveMessage = {
    {nullptr, nullptr, nullptr}, {nullptr, zero, zero}, 2};  // (size, ancbufsize, flags)
constexpr Signature kSendMessage = {
    {nullptr, nullptr, nullptr}, {nullptr, nothing, zero}, 2};  // (buffers, ancdata, flags, address)

// The arguments of a call by position; owns them.
class Arguments {
public:
    static constexpr Py_ssize_t kMost = 4;
    ~Arguments() {
        for (PyObject* value : values_) Py_XDECREF(value);
    }
    // False, perhaps with an exception: it is for the original to judge.
    bool read(const Signature& signature, PyObject* const* values, Py_ssize_t count, PyObject* names) {
        if (count > kMost) return false;
        for (Py_ssize_t i = 0; i < count; ++i) values_[i] = Py_NewRef(values[i]);
        count_ = std::max<Py_ssize_t>(count, signature.flags_at + 1);
        for (Py_ssize_t i = 0; i < (names ? PyTuple_GET_SIZE(names) : 0); ++i) {
            PyObject* name = PyTuple_GET_ITEM(names, i);
            int at = 0;
            while (at < 3 && !(signature.names[at] && PyUnicode_EqualToUTF8(name, signature.names[at]))) ++at;
            if (at == 3 || values_[at]) return false;
            values_[at] = Py_NewRef(values[count + i]);
        }
        for (int at = 0; at <= signature.flags_at; ++at) {
            if (!values_[at] && signature.defaults[at]) values_[at] = signature.defaults[at]();
            if (!values_[at]) return false;
        }
        return read_flags(signature.flags_at);
    }
    // Takes an object over.
    void replace(int at, PyObject* value) {
        Py_XDECREF(values_[at]);
        values_[at] = value;
    }
    PyObject* at(int index) const { return values_[index]; }
    int flags() const { return flags_; }
    PyObject* call(const Original& original, PyObject* self) const { return original.call(self, values_, count_); }

private:
    bool read_flags(int at) {
        int overflow = 0;
        if (!PyLong_Check(values_[at])) return false;
        const long value = PyLong_AsLongAndOverflow(values_[at], &overflow);
        flags_ = static_cast<int>(value);
        if (overflow || value != flags_) return false;
        replace(at, PyLong_FromLong((flags_ & ~MSG_WAITALL) | MSG_DONTWAIT));
        return values_[at] != nullptr;
    }
    PyObject* values_[kMost] = {};
    Py_ssize_t count_ = 0;
    int flags_ = 0;  // as they were given
};

// Whether the call waits for nothing although the socket is a blocking one. (One with a timeout is waited for in any
// case.)
bool never_waits(const Mode& mode, int flags) {
    return !mode.has_timeout && (flags & (MSG_DONTWAIT | MSG_ERRQUEUE | MSG_OOB));
}

// The items of an iterable, which a first try would use up, or others might change meanwhile.
PyObject* fixed(PyObject* iterable, const char* otherwise) {
    PyObject* items = PySequence_Fast(iterable, otherwise);
    PyObject* tuple = items ? PySequence_Tuple(items) : nullptr;
    Py_XDECREF(items);
    return tuple;
}

PyObject* call_original(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                        PyObject* names) {
    drop_exception();
    return original.call(self, values, count, names);
}

PyObject* call_on_twin(const Original& original, PyObject* self, const Arguments& arguments) {
    const SocketTwin twin(self);
    return twin.get() ? arguments.call(original, twin.get()) : nullptr;
}

// ---- MSG_WAITALL: a stream gives all that was asked for -------------------------------------------------------------

// Receives the rest. Less when the stream ends or fails. False with an exception set.
bool receive_rest(const Mode& mode, int flags, char* data, std::size_t size, std::size_t& got) {
    flags = (flags & ~MSG_WAITALL) | MSG_DONTWAIT;
    while (got < size) {
        ssize_t count = 0;
        const FdEnd end = try_until_taken(
            mode.fd, Interest::read, mode.deadline,
            [&] {
                do count = recv(mode.fd, data + got, size - got, flags);
                while (count < 0 && errno == EINTR);
                return count >= 0 || !would_block(errno);
            },
            mode.socket);
        if (end.status != FdStatus::ready) return raise_end(end), false;
        if (count <= 0) return true;
        got += static_cast<std::size_t>(count);
    }
    return true;
}

// The first item of a tuple, or the object itself.
PyObject* first_of(PyObject* result) { return PyTuple_Check(result) ? PyTuple_GET_ITEM(result, 0) : result; }

// The result with another first item, both of which it takes over.
PyObject* with_first(PyObject* result, PyObject* first) {
    if (!first || !PyTuple_Check(result)) {
        Py_DECREF(result);
        return first;
    }
    PyObject* copy = PyTuple_New(PyTuple_GET_SIZE(result));
    if (copy) PyTuple_SET_ITEM(copy, 0, Py_NewRef(first));
    for (Py_ssize_t i = 1; copy && i < PyTuple_GET_SIZE(result); ++i)
        PyTuple_SET_ITEM(copy, i, Py_NewRef(PyTuple_GET_ITEM(result, i)));
    Py_DECREF(first);
    Py_DECREF(result);
    return copy;
}

// Bytes: the first part of what was asked for.
PyObject* complete_bytes(const Mode& mode, const Arguments& arguments, PyObject* result) {
    PyObject* part = first_of(result);
    const Py_ssize_t size = PyNumber_AsSsize_t(arguments.at(0), nullptr);
    std::size_t got = static_cast<std::size_t>(PyBytes_GET_SIZE(part));
    if (got == 0 || got >= static_cast<std::size_t>(size)) return result;
    PyObject* whole = PyBytes_FromStringAndSize(nullptr, size);
    if (whole) std::copy_n(PyBytes_AS_STRING(part), got, PyBytes_AS_STRING(whole));
    if (whole && !receive_rest(mode, arguments.flags(), PyBytes_AS_STRING(whole), static_cast<std::size_t>(size), got))
        Py_CLEAR(whole);
    if (whole && got < static_cast<std::size_t>(size)) _PyBytes_Resize(&whole, static_cast<Py_ssize_t>(got));
    return with_first(result, whole);
}

// A number: what was received into the buffers, which are one object or a sequence of them. `most`: 0: as much as they
// hold.
PyObject* complete_buffers(const Mode& mode, const Arguments& arguments, PyObject* result, bool several) {
    std::size_t before = PyLong_AsSize_t(first_of(result));  // in the buffers before the present one
    if (before == 0) return result;
    const Py_ssize_t limit = several ? 0 : PyNumber_AsSsize_t(arguments.at(1), nullptr);
    const Py_ssize_t count = several ? PySequence_Fast_GET_SIZE(arguments.at(0)) : 1;
    std::size_t total = before;
    bool whole = true;
    for (Py_ssize_t i = 0; i < count && whole; ++i) {
        Py_buffer buffer;
        PyObject* object = several ? PySequence_Fast_GET_ITEM(arguments.at(0), i) : arguments.at(0);
        if (PyObject_GetBuffer(object, &buffer, PyBUF_WRITABLE) != 0) break;
        const auto size = static_cast<std::size_t>(limit > 0 ? std::min(limit, buffer.len) : buffer.len);
        std::size_t got = std::min(before, size);
        before -= got;
        const std::size_t had = got;
        if (got < size) {
            receive_rest(mode, arguments.flags(), static_cast<char*>(buffer.buf), size, got);
            whole = got == size;
        }
        total += got - had;
        PyBuffer_Release(&buffer);
    }
    if (PyErr_Occurred()) {
        Py_DECREF(result);
        return nullptr;
    }
    return with_first(result, PyLong_FromSize_t(total));
}

// ---- recv and its kin -----------------------------------------------------------------------------------------------

enum class Kind { bytes, message, into, message_into };
constexpr bool is_message(Kind kind) { return kind == Kind::message || kind == Kind::message_into; }

// Whether a message of a Unix socket may end where it does because of descriptors that come along: they are asked for,
// or some have come. The result is (data, ancillary data, flags, address).
bool may_bring_descriptors(const Arguments& arguments, PyObject* result) {
    const bool asked = PyNumber_AsSsize_t(arguments.at(1), nullptr) != 0;
    return asked || (PyLong_AsLong(PyTuple_GET_ITEM(result, 2)) & MSG_CTRUNC);
}

bool wants_rest(const Mode& mode, const Arguments& arguments, Kind kind, PyObject* result) {
    const bool all = (arguments.flags() & MSG_WAITALL) && !(arguments.flags() & (MSG_PEEK | MSG_DONTWAIT | MSG_OOB));
    if (!all || !mode.stream || mode.has_timeout) return false;
    return !is_message(kind) || mode.family != AF_UNIX || !may_bring_descriptors(arguments, result);
}

template <Kind kind>
PyObject* receive(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                  PyObject* names) {
    constexpr bool into = kind == Kind::into || kind == Kind::message_into;
    const Signature& signature = is_message(kind) ? kReceiveMessage : kind == Kind::into ? kReceiveInto : kReceive;
    const Mode mode = calling_actor() ? mode_of(self) : Mode();
    Arguments arguments;
    if (!mode.parks || !arguments.read(signature, values, count, names) || never_waits(mode, arguments.flags()))
        return call_original(original, self, values, count, names);
    if (kind == Kind::message_into) {
        arguments.replace(0, fixed(arguments.at(0), "recvmsg_into() argument 1 must be an iterable"));
        if (!arguments.at(0)) return nullptr;
    }
    PyObject* result = call_until_taken(mode, Interest::read, [&] { return call_on_twin(original, self, arguments); });
    if (!result || !wants_rest(mode, arguments, kind, result)) return result;
    return into ? complete_buffers(mode, arguments, result, kind == Kind::message_into)
                : complete_bytes(mode, arguments, result);
}

// ---- send and its kin -----------------------------------------------------------------------------------------------

// Sends the rest of `data`; partial: not more than the system takes at once.
FdEnd send_rest(const Mode& mode, const Py_buffer& data, int flags, bool partial, std::size_t& sent) {
    const auto* bytes = static_cast<const char*>(data.buf);
    const auto size = static_cast<std::size_t>(data.len);
    do {
        ssize_t count = 0;
        const FdEnd end = try_until_taken(
            mode.fd, Interest::write, mode.deadline,
            [&] {
                do count = send(mode.fd, bytes + sent, size - sent, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
                while (count < 0 && errno == EINTR);
                return count >= 0 || !would_block(errno);
            },
            mode.socket);
        if (end.status != FdStatus::ready) return end;
        if (count < 0) return {FdStatus::failed, errno};
        sent += static_cast<std::size_t>(count);
    } while (!partial && sent < size);
    return {};
}

// What a call returns that has sent some of what it was given: as the system, it is not undone by what went wrong then.
PyObject* count_or_raise(const FdEnd& end, std::size_t sent) {
    if (end.status == FdStatus::ready || (end.status == FdStatus::failed && sent > 0)) return PyLong_FromSize_t(sent);
    return raise_end(end);
}

// Reads (data, flags=0). False: it is for the original to judge.
bool read_data(PyObject* const* values, Py_ssize_t count, PyObject* names, Py_buffer& data, int& flags) {
    if (names || count < 1 || count > 2 || (count == 2 && !PyLong_Check(values[1]))) return false;
    if (count == 2) {
        int overflow = 0;
        const long value = PyLong_AsLongAndOverflow(values[1], &overflow);
        flags = static_cast<int>(value);
        if (overflow || value != flags) return false;
    }
    return !PyUnicode_Check(values[0]) && PyObject_GetBuffer(values[0], &data, PyBUF_SIMPLE) == 0;
}

// A blocking socket takes all that send() gives it; one with a timeout takes what there is room for.
template <bool all>
PyObject* send_data(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                    PyObject* names) {
    Py_buffer data;
    int flags = 0;
    const Mode mode = calling_actor() ? mode_of(self) : Mode();
    if (!mode.parks || !read_data(values, count, names, data, flags))
        return call_original(original, self, values, count, names);
    if (never_waits(mode, flags & MSG_DONTWAIT)) {
        PyBuffer_Release(&data);
        return original.call(self, values, count, names);
    }
    if (!pass_point(*this_actor())) {
        PyBuffer_Release(&data);
        return nullptr;
    }
    std::size_t sent = 0;
    const FdEnd end = send_rest(mode, data, flags, !all && (mode.has_timeout || !mode.stream), sent);
    PyBuffer_Release(&data);
    if (!all) return count_or_raise(end, sent);
    if (end.status != FdStatus::ready) return raise_end(end);
    Py_RETURN_NONE;
}

// Sends what a blocking stream did not take at once of `buffers`, a sequence; takes the number of bytes that it took
// over.
PyObject* send_rest_of(const Mode& mode, int flags, PyObject* const* buffers, Py_ssize_t count, PyObject* number) {
    std::size_t before = number ? PyLong_AsSize_t(number) : 0;  // in the buffers before the present one
    if (!number || !mode.stream || mode.has_timeout) return number;
    std::size_t total = before;
    FdEnd end;
    for (Py_ssize_t i = 0; i < count && end.status == FdStatus::ready; ++i) {
        Py_buffer data;
        if (PyObject_GetBuffer(buffers[i], &data, PyBUF_SIMPLE) != 0) {
            Py_DECREF(number);
            return nullptr;
        }
        std::size_t sent = std::min(before, static_cast<std::size_t>(data.len));
        before -= sent;
        total -= sent;
        if (sent < static_cast<std::size_t>(data.len)) end = send_rest(mode, data, flags, false, sent);
        total += sent;
        PyBuffer_Release(&data);
    }
    Py_DECREF(number);
    return count_or_raise(end, total);
}

// sendto(data, address) or sendto(data, flags, address)
PyObject* send_to(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                  PyObject* names) {
    const Mode mode = calling_actor() ? mode_of(self) : Mode();
    int overflow = 0;
    const bool with_flags = count == 3;
    const long flags = with_flags && PyLong_Check(values[1]) ? PyLong_AsLongAndOverflow(values[1], &overflow) : 0;
    if (!mode.parks || names || count < 2 || count > 3 || (with_flags && !PyLong_Check(values[1])) || overflow ||
        flags != static_cast<int>(flags) || never_waits(mode, static_cast<int>(flags) & MSG_DONTWAIT))
        return call_original(original, self, values, count, names);
    PyObject* address = resolved(mode, values[count - 1]);
    PyObject* unwaiting = address ? PyLong_FromLong(flags | MSG_DONTWAIT) : nullptr;
    PyObject* const given[] = {values[0], unwaiting, address};
    PyObject* number = nullptr;
    if (unwaiting) {
        number = call_until_taken(mode, Interest::write, [&]() -> PyObject* {
            const SocketTwin twin(self);
            return twin.get() ? original.call(twin.get(), given, 3) : nullptr;
        });
    }
    Py_XDECREF(unwaiting);
    Py_XDECREF(address);
    return send_rest_of(mode, static_cast<int>(flags), values, 1, number);
}

// sendmsg(buffers, ancdata=(), flags=0, address=None)
PyObject* send_message(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                       PyObject* names) {
    const Mode mode = calling_actor() ? mode_of(self) : Mode();
    Arguments arguments;
    if (!mode.parks || !arguments.read(kSendMessage, values, count, names) ||
        never_waits(mode, arguments.flags() & MSG_DONTWAIT))
        return call_original(original, self, values, count, names);
    arguments.replace(0, fixed(arguments.at(0), "sendmsg() argument 1 must be an iterable"));
    if (!arguments.at(0)) return nullptr;
    arguments.replace(1, fixed(arguments.at(1), "sendmsg() argument 2 must be an iterable"));
    if (!arguments.at(1)) return nullptr;
    if (arguments.at(3) && arguments.at(3) != Py_None) {
        arguments.replace(3, resolved(mode, arguments.at(3)));
        if (!arguments.at(3)) return nullptr;
    }
    PyObject* number = call_until_taken(mode, Interest::write, [&] { return call_on_twin(original, self, arguments); });
    PyObject* buffers = arguments.at(0);
    return send_rest_of(mode, arguments.flags(), PySequence_Fast_ITEMS(buffers), PySequence_Fast_GET_SIZE(buffers),
                        number);
}

}  // namespace

void install_socket_transfers(PyObject* module) {
    or_leave(Patch<receive<Kind::bytes>, 0>::install(module, "socket", "recv"));
    or_leave(Patch<receive<Kind::bytes>, 1>::install(module, "socket", "recvfrom"));
    or_leave(Patch<receive<Kind::into>, 0>::install(module, "socket", "recv_into"));
    or_leave(Patch<receive<Kind::into>, 1>::install(module, "socket", "recvfrom_into"));
    or_leave(Patch<receive<Kind::message>>::install(module, "socket", "recvmsg"));
    or_leave(Patch<receive<Kind::message_into>>::install(module, "socket", "recvmsg_into"));
    or_leave(Patch<send_data<false>>::install(module, "socket", "send"));
    or_leave(Patch<send_data<true>>::install(module, "socket", "sendall"));
    or_leave(Patch<send_to>::install(module, "socket", "sendto"));
    or_leave(Patch<send_message>::install(module, "socket", "sendmsg"));
}

}  // namespace smarm::stdlib
