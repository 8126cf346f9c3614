// Names: getaddrinfo and its kin wait for other machines, on a thread of the pool. That is a wait of bounded length:
//        the resolver has timeouts of its own.
#include <cstring>

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#include "smarm/interp/blocking_pool.h"
#include "smarm/interp/imports.h"
#include "smarm/interp/requested_exception.h"
#include "stdlib/socket_wait.h"

namespace smarm::stdlib {
namespace {

PyObject* tuple_of(PyObject* const* values, Py_ssize_t count) {
    PyObject* tuple = PyTuple_New(count);
    for (Py_ssize_t i = 0; tuple && i < count; ++i) PyTuple_SET_ITEM(tuple, i, Py_NewRef(values[i]));
    return tuple;
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

PyObject* look_up(const char* name, const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                  PyObject* names) {
    const bool of_address = std::strcmp(name, Gethostbyaddr::kName) == 0;  // which looks a number up, too
    bool simple = names || count < 1 || (!PyTuple_Check(values[0]) && !of_address && !needs_lookup(values[0]));
    // getaddrinfo's flags: the caller says that there is nothing to look up.
    int overflow = 0;
    if (count == 6 && PyLong_Check(values[5]) && (PyLong_AsLongAndOverflow(values[5], &overflow) & AI_NUMERICHOST))
        simple = true;
    if (simple || !calling_actor()) return original.call(self, values, count, names);
    PyObject* arguments = tuple_of(values, count);
    PyObject* result = arguments ? look_up_parking(self, name, arguments) : nullptr;
    Py_XDECREF(arguments);
    return result;
}

template <class Function>
PyObject* look_up(const Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                  PyObject* names) {
    return look_up(Function::kName, original, self, values, count, names);
}

// The host of what getaddrinfo found first, as a number.
PyObject* first_host(PyObject* found) {
    PyObject* first = PyList_Check(found) && PyList_GET_SIZE(found) ? PyList_GET_ITEM(found, 0) : nullptr;
    PyObject* where =
        first && PyTuple_Check(first) && PyTuple_GET_SIZE(first) == 5 ? PyTuple_GET_ITEM(first, 4) : nullptr;
    if (!where || !PyTuple_Check(where) || PyTuple_GET_SIZE(where) == 0) {
        PyErr_SetString(PyExc_OSError, "the name has no address");
        return nullptr;
    }
    return Py_NewRef(PyTuple_GET_ITEM(where, 0));
}

PyObject* host_of_name(PyObject* name, int family) {
    PyObject* module = import_module("_socket");
    // As CPython's own connect() asks for it.
    PyObject* arguments = module ? Py_BuildValue("(OOiiii)", name, Py_None, family, SOCK_DGRAM, 0, 0) : nullptr;
    PyObject* found = arguments ? look_up_parking(module, "getaddrinfo", arguments) : nullptr;
    PyObject* host = found ? first_host(found) : nullptr;
    Py_XDECREF(found);
    Py_XDECREF(arguments);
    Py_XDECREF(module);
    return host;
}

}  // namespace

bool needs_lookup(PyObject* host) {
    const char* text = PyUnicode_Check(host)     ? PyUnicode_AsUTF8(host)
                       : PyBytes_Check(host)     ? PyBytes_AS_STRING(host)
                       : PyByteArray_Check(host) ? PyByteArray_AS_STRING(host)
                                                 : nullptr;
    if (!text) {
        drop_exception();
        return false;  // None, or for the original to judge
    }
    unsigned char binary[sizeof(in6_addr)];
    return *text && std::strcmp(text, "<broadcast>") != 0 && inet_pton(AF_INET, text, binary) != 1 &&
           inet_pton(AF_INET6, text, binary) != 1;
}

PyObject* look_up_parking(PyObject* module, const char* function, PyObject* arguments) {
    if (!pass_point(*this_actor())) return nullptr;
    // Called again on a pool thread, where there is no actor.
    PyObject* callable = PyObject_GetAttrString(module, function);
    PyObject* result = callable ? interpreter_state()->blocking->call(callable, arguments, kNever) : nullptr;
    Py_XDECREF(callable);
    return result;
}

PyObject* resolved(const Mode& mode, PyObject* address) {
    const bool has_host = (mode.family == AF_INET || mode.family == AF_INET6) && PyTuple_Check(address) &&
                          PyTuple_GET_SIZE(address) >= 2 && needs_lookup(PyTuple_GET_ITEM(address, 0));
    if (!has_host) return Py_NewRef(address);
    PyObject* host = host_of_name(PyTuple_GET_ITEM(address, 0), mode.family);
    PyObject* copy = host ? PyTuple_New(PyTuple_GET_SIZE(address)) : nullptr;
    for (Py_ssize_t i = 1; copy && i < PyTuple_GET_SIZE(address); ++i)
        PyTuple_SET_ITEM(copy, i, Py_NewRef(PyTuple_GET_ITEM(address, i)));
    if (copy) PyTuple_SET_ITEM(copy, 0, Py_NewRef(host));
    Py_XDECREF(host);
    return copy;
}

void install_names(PyObject* module) {
    or_leave(Patch<look_up<Getaddrinfo>>::install(module, nullptr, "getaddrinfo"));
    or_leave(Patch<look_up<Getnameinfo>>::install(module, nullptr, "getnameinfo"));
    or_leave(Patch<look_up<Gethostbyname>>::install(module, nullptr, "gethostbyname"));
    or_leave(Patch<look_up<GethostbynameEx>>::install(module, nullptr, "gethostbyname_ex"));
    or_leave(Patch<look_up<Gethostbyaddr>>::install(module, nullptr, "gethostbyaddr"));
}

}  // namespace smarm::stdlib
