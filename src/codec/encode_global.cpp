// Functions and classes: by reference where the receiver can import them, by value (cloudpickle's parts, through the
// same walk) where they belong to a script that nobody can import.
#include "codec/encoder.h"
#include "codec/globals.h"
#include "smarm/interp/imports.h"
#include "smarm/interp/requested_exception.h"

namespace smarm::codec {
namespace {

const char* noun(PyObject* value) {
    if (PyType_Check(value)) return "class";
    return PyFunction_Check(value) ? "function" : "object";
}

bool contains(PyObject* text, const char* what) {
    if (PyUnicode_FindChar(text, '<', 0, PyUnicode_GET_LENGTH(text), 1) < 0) return false;
    Handle part(PyUnicode_FromString(what));
    if (!part) return false;
    return PyUnicode_Find(text, part.get(), 0, PyUnicode_GET_LENGTH(text), 1) >= 0;
}

}  // namespace

Encoder::Step Encoder::write_function_or_class(PyObject* value) {
    for (PyObject* single : {Py_None, Py_Ellipsis, Py_NotImplemented}) {
        // No module has these classes by name.
        if (value != reinterpret_cast<PyObject*>(Py_TYPE(single))) continue;
        put(Tag::TypeOf);
        return write(single);
    }
    Handle name(PyObject_GetAttr(value, cache_.qualified_name.get()));
    if (!name) return explain(value);
    if (!PyUnicode_Check(name.get())) return unsendable(value, "its __qualname__ is not a string");
    bool nested = contains(name.get(), "<locals>");
    bool lambda = contains(name.get(), "<lambda>");
    if (codec_.main_by_value && codec_.limits.objects == Objects::any) {
        int by_reference = nested || lambda ? 0 : is_importable(value, name.get());
        if (by_reference < 0) return explain(value);
        if (!by_reference) {
            Handle reduced = reduce_by_value(value);
            if (!reduced) return explain(value);
            if (reduced.get() != Py_NotImplemented) return open_reduced(value, std::move(reduced));
        }
    }
    if (lambda) return refuse("a lambda cannot be sent: define a function at module level");
    if (nested) {
        return refuse("%s '%U' cannot be sent: define it at module level, not inside a function", noun(value),
                      name.get());
    }
    // The function of a spawn within the process is no part of a message.
    const bool of_spawn = travels_as_ == Names::function && frames_.empty();
    return only_data() && !of_spawn ? write_data_global(value, name.get()) : write_global(value, name.get());
}

// Whether another interpreter finds the object by its name, __main__ not counted; -1 with an exception set.
int Encoder::is_importable(PyObject* value, PyObject* name) {
    Handle module = module_of(cache_, value, name);
    if (!module) return -1;
    if (is_main(cache_, module.get())) return 0;
    Handle found = find_global(cache_, module.get(), name);
    if (found) return found.get() == value;
    if (!PyErr_ExceptionMatches(PyExc_AttributeError) && !PyErr_ExceptionMatches(PyExc_ImportError)) return -1;
    drop_exception();
    return 0;
}

// Writes module and qualified name, once it is certain that they lead back to the same object.
Encoder::Step Encoder::write_global(PyObject* value, PyObject* name) {
    Handle module = module_of(cache_, value, name);
    if (!module) return explain(value);
    Handle found = find_global(cache_, module.get(), name);
    if (!found) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError) && !PyErr_ExceptionMatches(PyExc_ImportError)) {
            return explain(value);
        }
        drop_exception();
        return refuse("%s '%U' cannot be sent: it is not found as %U.%U; define it at module level, under its own name",
                      noun(value), name, module.get(), name);
    }
    if (found.get() != value) {
        return refuse("%s '%U' cannot be sent: %U.%U is another object now (was the name defined twice, or decorated?)",
                      noun(value), name, module.get(), name);
    }
    if (codec_.main_by_value && is_main(cache_, module.get())) {
        return refuse(
            "%s '%U' of a __main__ that is no file travels by pickle's protocol, which is turned off "
            "(pickle=False, --no-pickle): put it into a module",
            noun(value), name);
    }
    return put_global(value, module.get(), name);
}

Encoder::Step Encoder::put_global(PyObject* value, PyObject* module, PyObject* name) {
    put(Tag::Global);
    write_name(is_main(cache_, module) ? cache_.main_name.get() : module);
    write_name(name);
    memo_.add(value);
    return Step::Done;
}

// Names are not remembered: the reader takes them as part of the Global.
void Encoder::write_name(PyObject* name) {
    auto length = static_cast<std::size_t>(PyUnicode_GET_LENGTH(name));
    auto kind = static_cast<std::size_t>(PyUnicode_KIND(name));
    Tag tag = kind == 1 ? Tag::String1 : kind == 2 ? Tag::String2 : Tag::String4;
    put_bytes(tag, length, PyUnicode_DATA(name), length * kind);
}

// Returns cloudpickle's reduce tuple, NotImplemented if it prefers a reference too, or nothing with an exception set.
Handle Encoder::reduce_by_value(PyObject* value) {
    if (!prepare_by_value()) return {};
    return Handle(PyObject_CallMethod(by_value_.get(), "reducer_override", "O", value));
}

// Makes the pickler of this call: it keeps what functions of one call share (their globals).
bool Encoder::prepare_by_value() {
    if (by_value_) return true;
    Handle cloudpickle(import_module("cloudpickle"));
    if (!cloudpickle) {
        if (PyErr_ExceptionMatches(PyExc_ModuleNotFoundError)) {
            PyErr_SetString(PyExc_TypeError,
                            "functions and classes of this __main__ can only be sent with the package "
                            "cloudpickle, which is not installed");
        }
        return false;
    }
    Handle file(call_imported("io", "BytesIO", PyTuple_New(0)));
    if (!file) return false;
    Handle pickler(PyObject_CallMethod(cloudpickle.get(), "CloudPickler", "O", file.get()));
    if (!pickler) return false;
    by_value_table_ = Handle(PyObject_GetAttrString(pickler.get(), "dispatch_table"));
    if (!by_value_table_) return false;
    by_value_ = std::move(pickler);
    return true;
}

}  // namespace smarm::codec
