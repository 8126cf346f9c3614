#include "smarm/extensions/functions.h"

#include <new>
#include <string>
#include <system_error>
#include <vector>

#include <dlfcn.h>

#include "extensions/module_creation.h"
#include "extensions/owner.h"
#include "smarm/extensions/policy.h"
#include "smarm/extensions/shared_object.h"
#include "smarm/interp/interpreter_state.h"

namespace smarm {
namespace {

// Runs `body` and makes Python exceptions of what it throws about the file `path`.
template <class Body>
PyObject* with_errors(const char* path, Body body) {
    try {
        return body();
    } catch (const NotLoadable& error) {
        return PyErr_Format(PyExc_ImportError, "%s: %s", path, error.what());
    } catch (const std::system_error& error) {
        errno = error.code().value();
        return PyErr_SetFromErrnoWithFilename(PyExc_OSError, path);
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    }
}

PyObject* text(const std::string& value) {
    return PyUnicode_DecodeFSDefaultAndSize(value.data(), static_cast<Py_ssize_t>(value.size()));
}

PyObject* tuple_of(const std::vector<std::string>& values) {
    PyObject* tuple = PyTuple_New(static_cast<Py_ssize_t>(values.size()));
    for (std::size_t i = 0; tuple && i < values.size(); ++i) {
        PyObject* item = text(values[i]);
        if (item) PyTuple_SET_ITEM(tuple, static_cast<Py_ssize_t>(i), item);
        else Py_CLEAR(tuple);
    }
    return tuple;
}

// A path as bytes, from str or bytes, while it lives.
class Path {
public:
    explicit Path(PyObject* path) { PyUnicode_FSConverter(path, &bytes_); }
    ~Path() { Py_XDECREF(bytes_); }
    Path(const Path&) = delete;
    Path& operator=(const Path&) = delete;
    explicit operator bool() const noexcept { return bytes_ != nullptr; }
    const char* get() const noexcept { return PyBytes_AS_STRING(bytes_); }

private:
    PyObject* bytes_ = nullptr;
};

PyObject* extension_owner(PyObject*, PyObject*) {
    const int owner = claim_owner();
    if (owner >= 0) return PyLong_FromLong(owner);
    return PyErr_Format(PyExc_ImportError,
                        "%zu interpreters of this process have loaded private copies of extension modules, and there "
                        "can be no more: start a new process",
                        kMostOwners);
}

PyObject* end_extensions(PyObject*, PyObject*) {
    end_owner();
    Py_RETURN_NONE;
}

PyObject* are_private(PyObject*, PyObject*) { return PyBool_FromLong(extensions_are_private()); }

PyObject* extension_lists(PyObject*, PyObject*) {
    return with_errors("", [] {
        const ExtensionPolicy policy = extension_policy();
        return Py_BuildValue("(NNN)", tuple_of(policy.shared_libraries), tuple_of(policy.private_libraries),
                             tuple_of(policy.main_only));
    });
}

PyObject* read_shared_object(PyObject*, PyObject* argument) {
    const Path path(argument);
    if (!path) return nullptr;
    return with_errors(path.get(), [&path] {
        const SharedObject object(path.get());
        return Py_BuildValue("(NNN)", tuple_of(object.needed()), text(object.name()), tuple_of(object.search()));
    });
}

// Changes the object's names. False with an exception set.
bool rename_all(SharedObject& object, PyObject* renames) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(renames); ++i) {
        PyObject* from;
        PyObject* to;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(renames, i), "OO", &from, &to)) return false;
        const Path from_bytes(from);
        if (!from_bytes) return false;
        const Path to_bytes(to);
        if (!to_bytes) return false;
        object.rename(from_bytes.get(), to_bytes.get());
    }
    return true;
}

PyObject* write_private_copy(PyObject*, PyObject* arguments) {
    PyObject* from;
    int descriptor;
    PyObject* renames;
    if (!PyArg_ParseTuple(arguments, "OiO!:_write_private_copy", &from, &descriptor, &PyTuple_Type, &renames))
        return nullptr;
    const Path path(from);
    if (!path) return nullptr;
    return with_errors(path.get(), [&]() -> PyObject* {
        SharedObject object(path.get());
        object.check();
        object.make_unique_global();
        if (!rename_all(object, renames)) return nullptr;
        object.write(descriptor);
        Py_RETURN_NONE;
    });
}

PyObject* open_private_copy_function(PyObject*, PyObject* arguments) {
    PyObject* copy;
    PyObject* original;
    int flags;
    if (!PyArg_ParseTuple(arguments, "OOi:_open_private_copy", &copy, &original, &flags)) return nullptr;
    const Path path(copy);
    if (!path) return nullptr;
    const Path from(original);
    if (!from) return nullptr;
    const int owner = claim_owner();
    if (owner < 0) return extension_owner(nullptr, nullptr);
    PyObject* opened = with_errors(path.get(), [&] { return open_private_copy(owner, path.get(), from.get(), flags); });
    if (opened) interpreter_state()->outlasts_run = true;  // what is loaded stays
    return opened;
}

PyObject* open_shared_library(PyObject*, PyObject* argument) {
    const Path path(argument);
    if (!path) return nullptr;
    if (dlopen(path.get(), RTLD_NOW | RTLD_LOCAL)) Py_RETURN_NONE;  // it stays open
    return PyErr_Format(PyExc_ImportError, "%s", dlerror());
}

}  // namespace

PyMethodDef extension_functions[] = {
    {"_extension_owner", extension_owner, METH_NOARGS, nullptr},
    {"_end_extensions", end_extensions, METH_NOARGS, nullptr},
    {"_extensions_are_private", are_private, METH_NOARGS, nullptr},
    {"_extension_lists", extension_lists, METH_NOARGS, nullptr},
    {"_read_shared_object", read_shared_object, METH_O, nullptr},
    {"_write_private_copy", write_private_copy, METH_VARARGS, nullptr},
    {"_open_private_copy", open_private_copy_function, METH_VARARGS, nullptr},
    {"_open_shared_library", open_shared_library, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace smarm
