// Objects where only data travel: taken apart by what their class is, so that the receiver can make them again without
// a call.
#include <iterator>

#include "codec/data.h"
#include "codec/encoder.h"
#include "codec/globals.h"
#include "smarm/interp/requested_exception.h"

namespace smarm::codec {
namespace {

// Returns (copyreg.__newobj__, (class, *arguments), state): the shape of a New.
Handle as_new(const Cache& cache, PyTypeObject* type, PyObject* arguments, PyObject* state) {
    const Py_ssize_t count = PyTuple_GET_SIZE(arguments);
    Handle all(PyTuple_New(count + 1));
    if (!all) return {};
    PyTuple_SET_ITEM(all.get(), 0, Py_NewRef(reinterpret_cast<PyObject*>(type)));
    for (Py_ssize_t index = 0; index < count; ++index) {
        PyTuple_SET_ITEM(all.get(), index + 1, Py_NewRef(PyTuple_GET_ITEM(arguments, index)));
    }
    return Handle(PyTuple_Pack(3, cache.new_object.get(), all.get(), state));
}

// Returns an instance's __dict__, None if it has none. Asking for one that is not there makes an AttributeError, which
// takes longer than writing a small object.
Handle own_dict(PyObject* value) {
    return Handle(Py_TYPE(value)->tp_dictoffset == 0 ? Py_NewRef(Py_None) : PyObject_GenericGetDict(value, nullptr));
}

// The same, and None where nothing is in it.
Handle state_of(PyObject* value) {
    Handle own = own_dict(value);
    const bool empty = own && PyDict_Check(own.get()) && PyDict_GET_SIZE(own.get()) == 0;
    return empty ? Handle(Py_NewRef(Py_None)) : std::move(own);
}

Handle uuid_arguments(PyObject* value) {
    Handle number(PyObject_GetAttrString(value, "int"));
    Handle safety(PyObject_GetAttrString(value, "is_safe"));
    Handle name(safety ? PyObject_GetAttrString(safety.get(), "_name_") : nullptr);
    return number && name ? Handle(PyTuple_Pack(2, number.get(), name.get())) : Handle();
}

// What the receiver makes a known class's object of. Not in order where the class changed its mind: then it is refused
// there.
Handle known_arguments(const Cache& cache, PyObject* value, DataKind kind) {
    if (kind == DataKind::uuid) return uuid_arguments(value);
    if (kind == DataKind::ref) {
        Handle number(PyNumber_Index(value));
        return number ? Handle(PyTuple_Pack(1, Handle(PyNumber_Long(number.get())).get())) : Handle();
    }
    if (kind == DataKind::zone_info) {
        Handle key(PyObject_GetAttrString(value, "key"));
        return key ? Handle(PyTuple_Pack(1, key.get())) : Handle();
    }
    PyObject* self_and_protocol[] = {value, cache.protocol.get()};
    Handle reduced(PyObject_VectorcallMethod(cache.reduce_ex_name.get(), self_and_protocol, 2, nullptr));
    if (!reduced) return {};
    PyObject* arguments = PyTuple_Check(reduced.get()) && PyTuple_GET_SIZE(reduced.get()) >= 2
                              ? PyTuple_GET_ITEM(reduced.get(), 1)
                              : nullptr;
    if (arguments && PyTuple_CheckExact(arguments)) return Handle::share(arguments);
    PyErr_SetString(PyExc_TypeError, "it is taken apart in an unknown way");
    return {};
}

}  // namespace

// `value` is held by the caller.
Encoder::Step Encoder::write_data_object(PyObject* value) {
    PyTypeObject* type = Py_TYPE(value);
    for (PyTypeObject* known : plain_types_) {
        if (known == type) return open_record(value);
    }
    if (PyCFunction_Check(value)) return write_function_or_class(value);
    const DataClass data = data_class(codec_, type);
    if (data.kind == DataKind::none) return refuse_data(value, data.why);
    if (data.kind == DataKind::member || data.kind == DataKind::flag) return write_member(value, data.kind);
    const int registered = PyDict_Contains(cache_.dispatch_table.get(), reinterpret_cast<PyObject*>(type));
    if (registered) return registered < 0 ? Step::Failed : refuse_data(value, "copyreg says how it travels");
    if (data.kind == DataKind::record) {
        add_plain(type);
        return open_record(value);
    }
    if (data.kind == DataKind::exception) return open_exception(value, data);
    const bool tuple = data.kind == DataKind::named_tuple;
    Handle state = tuple ? state_of(value) : Handle(Py_NewRef(Py_None));
    Handle arguments =
        tuple ? Handle(PyTuple_GetSlice(value, 0, PyTuple_GET_SIZE(value))) : known_arguments(cache_, value, data.kind);
    if (!state || !arguments) return explain(value);
    if (tuple && PyTuple_GET_SIZE(value) != PyTuple_GET_SIZE(data.fields)) {
        return refuse_data(value, "it has more or fewer items than its class has fields");
    }
    if (!check_attributes(value, state.get())) return Step::Failed;
    Handle reduced = as_new(cache_, type, arguments.get(), state.get());
    return reduced ? open_parts(value, Tag::New, std::move(reduced)) : Step::Failed;
}

Encoder::Step Encoder::open_record(PyObject* value) {
    const bool slots = Py_TYPE(value)->tp_basicsize != PyBaseObject_Type.tp_basicsize;
    Handle state = slots ? Handle(PyObject_CallOneArg(cache_.object_get_state.get(), value)) : own_dict(value);
    if (!state) return explain(value);
    // The names of a dict are looked at as they are written.
    if (slots && !check_attributes(value, state.get())) return Step::Failed;
    if (state.get() == Py_None) state = {};
    return open_plain(value, std::move(state));
}

Encoder::Step Encoder::open_exception(PyObject* value, const DataClass& data) {
    Handle reduced(PyObject_CallOneArg(data.reduce, value));
    if (!reduced) return explain(value);
    PyObject* arguments = PyTuple_GET_ITEM(reduced.get(), 1);
    if (data.takes && !data.takes(arguments)) {
        return refuse_data(value, "its args are not of the built-in types that its base class takes");
    }
    PyObject* state = PyTuple_GET_SIZE(reduced.get()) == 3 ? PyTuple_GET_ITEM(reduced.get(), 2) : Py_None;
    if (!check_attributes(value, state)) return Step::Failed;
    return open_parts(value, Tag::Exception, std::move(reduced));
}

// Whether a receiver takes these attributes: None, a dict, or a pair of these of which the second is for slots. False
// with an exception set.
bool Encoder::check_attributes(PyObject* value, PyObject* state) {
    if (PyTuple_CheckExact(state) && PyTuple_GET_SIZE(state) == 2) state = PyTuple_GET_ITEM(state, 0);
    if (!PyDict_CheckExact(state)) return true;
    Py_ssize_t position = 0;
    PyObject* name;
    PyObject* item;
    while (PyDict_Next(state, &position, &name, &item)) {
        if (!check_attribute(value, name, item)) return false;
    }
    return true;
}

bool Encoder::check_attribute(PyObject* owner, PyObject* name, PyObject* value) {
    PyTypeObject* type = Py_TYPE(owner);
    if (is_data_attribute(codec_, type, name)) return true;
    const bool of_exception =
        data_kind(codec_, type) == DataKind::exception && PyUnicode_CheckExact(name) &&
        (is_exception_field(type, name, value) || PyUnicode_Compare(name, cache_.args_name.get()) == 0);
    if (of_exception) return true;
    refuse("%T cannot be sent: its attribute %R hides what its class has under that name (pickle=False, --no-pickle)",
           owner, name);
    return false;
}

bool Encoder::check_key(PyObject* key) {
    if (is_data_key(codec_, key)) return true;
    refuse(
        "%T cannot be sent as a key or in a set: a receiver would call its __hash__ and __eq__ (pickle=False, "
        "--no-pickle); "
        "send a list of pairs, or of the elements",
        key);
    return false;
}

Encoder::Step Encoder::write_member(PyObject* value, DataKind kind) {
    PyTypeObject* type = Py_TYPE(value);
    Handle name(PyObject_GenericGetAttr(value, cache_.member_name_name.get()));
    drop_exception();
    Handle found = name ? find_member(cache_, type, name.get()) : Handle();
    PyObject* written = name.get();
    Handle number;
    if (found.get() != value && kind == DataKind::flag) {
        number = Handle(PyObject_GenericGetAttr(value, cache_.member_value_name.get()));
        drop_exception();
        found = number ? find_combination(cache_, type, number.get()) : Handle();
        written = number.get();
    }
    if (PyErr_Occurred()) return Step::Failed;
    if (found.get() != value)
        return refuse_data(value, "its enum has no such member, or it has unknown bits: send its value");
    put(Tag::Member);
    auto* owner = reinterpret_cast<PyObject*>(type);
    if (!put_ref(owner) && write_function_or_class(owner) == Step::Failed) return Step::Failed;
    if (!PyLong_CheckExact(written)) write_string(written);
    else if (!write_int(written)) return Step::Failed;
    memo_.add(value);
    return Step::Done;
}

// Names a class, or a function of a module that the program trusts.
Encoder::Step Encoder::write_data_global(PyObject* value, PyObject* name) {
    Handle module = module_of(cache_, value, name);
    if (!module) return explain(value);
    if (codec_.main_by_value && is_main(cache_, module.get())) return write_global(value, name);  // which says why not
    const char* why = nullptr;
    Handle found = find_data_global(codec_, module.get(), name, false, &why);
    if (!found && PyErr_Occurred()) return explain(value);
    if (!found) {
        return refuse("'%U' of the module '%U' cannot be sent (pickle=False, --no-pickle): %s", name, module.get(),
                      why);
    }
    // which says why not
    return found.get() == value ? put_global(value, module.get(), name) : write_global(value, name);
}

Encoder::Step Encoder::refuse_data(PyObject* value, const char* why) {
    Handle text(PyUnicode_FromFormat(
        "it would travel by pickle's protocol, which is turned off (pickle=False, --no-pickle): %s", why));
    const char* reason = text ? PyUnicode_AsUTF8(text.get()) : nullptr;
    return reason ? unsendable(value, reason) : Step::Failed;
}

}  // namespace smarm::codec
