#include "smarm/codec/codec.h"

#include <cstdio>
#include <new>

#include "codec/decoder.h"
#include "codec/encoder.h"
#include "codec/globals.h"
#include "codec/impl.h"
#include "smarm/base/assert.h"
#include "smarm/interp/errors.h"
#include "smarm/interp/imports.h"
#include "smarm/interp/requested_exception.h"
#include "smarm/sched/scheduler.h"

namespace smarm {
namespace {

// Counts a message that the running actor has lost; names the first one of a run. The exception that says why stays
// set.
void count_lost_message() {
    Worker* worker = this_worker();
    if (!worker || !worker->current() || !worker->scheduler().count_undecoded()) return;
    PyObject* error = PyErr_GetRaisedException();
    PyObject* text = PyObject_Str(error);  // of DecodeError, which has no code of the program
    const char* why = text ? PyUnicode_AsUTF8(text) : nullptr;
    const Pid pid = worker->current()->pid;
    std::fprintf(stderr,
                 "smarm: <pid %u.%u> lost a message that cannot be decoded: %s (from now on these are only counted: "
                 "smarm.statistics().undecoded)\n",
                 pid.index, pid.generation, why ? why : "?");
    Py_XDECREF(text);
    PyErr_SetRaisedException(error);
}

}  // namespace

Codec::Codec(CodecLimits limits) : impl_(new Impl) { impl_->limits = limits; }

Codec::~Codec() = default;

void Codec::set_pid_type(PidType type) {
    impl_->pid = type;
    pid_type_ = type.type;
}

void Codec::add_native_type(NativeType type) {
    SMARM_ASSERT(type.id > NativeId::none && type.id < NativeId::count, "this is the number of no type");
    for (const NativeType& other : impl_->natives) SMARM_ASSERT(other.id != type.id, "two types have one number");
    impl_->natives.push_back(type);
}

void Codec::set_main_by_value(bool by_value) { impl_->main_by_value = by_value; }

void Codec::set_limits(CodecLimits limits) { impl_->limits = limits; }

void Codec::set_trusted_modules(std::vector<std::string> names) { impl_->trusted_modules = std::move(names); }

bool Codec::add_python_codec(PyTypeObject* type, const char* name, PyObject* encode, PyObject* decode) {
    if (!impl_->python_encoders) impl_->python_encoders = codec::Handle(PyDict_New());
    if (!impl_->python_decoders) impl_->python_decoders = codec::Handle(PyDict_New());
    if (!impl_->python_encoders || !impl_->python_decoders) return false;
    for (codec::DataClass& known : impl_->data_classes) known = {};  // classes with a codec are no others
    codec::Handle entry(Py_BuildValue("(sOO)", name, encode, decode));
    return entry && PyDict_SetItemString(impl_->python_decoders.get(), name, decode) == 0 &&
           PyDict_SetItem(impl_->python_encoders.get(), reinterpret_cast<PyObject*>(type), entry.get()) == 0;
}

bool Codec::forget_python_codecs() {
    if (!impl_->python_encoders) return true;
    codec::Handle items(PyDict_Items(impl_->python_encoders.get()));
    codec::Handle encoders(PyDict_New());
    codec::Handle decoders(PyDict_New());
    if (!items || !encoders || !decoders || !impl_->cache.prepare()) return false;
    for (Py_ssize_t index = 0; index < PyList_GET_SIZE(items.get()); ++index) {
        PyObject* item = PyList_GET_ITEM(items.get(), index);
        PyObject* type = PyTuple_GET_ITEM(item, 0);
        PyObject* entry = PyTuple_GET_ITEM(item, 1);  // (name, encode, decode)
        codec::Handle name(PyObject_GetAttr(type, impl_->cache.module_name.get()));
        if (!name) return false;
        const bool stays = !codec::is_main(impl_->cache, name.get()) && codec::Handle(PyImport_GetModule(name.get()));
        if (PyErr_Occurred()) return false;
        if (stays && (PyDict_SetItem(encoders.get(), type, entry) != 0 ||
                      PyDict_SetItem(decoders.get(), PyTuple_GET_ITEM(entry, 0), PyTuple_GET_ITEM(entry, 2)) != 0))
            return false;
    }
    impl_->python_encoders = std::move(encoders);
    impl_->python_decoders = std::move(decoders);
    return true;
}

OwnedParcel Codec::encode(PyObject* value, const char* root) {
    return codec::Encoder(*impl_, root, codec::Names::message).run(value);
}

OwnedParcel Codec::encode_function(PyObject* function) {
    return codec::Encoder(*impl_, "function", codec::Names::function).run(function);
}

PyObject* Codec::decode(const Parcel& parcel) {
    PyObject* value = decode_bytes(parcel);
    if (!value && current_error_is("DecodeError")) count_lost_message();
    return value;
}

PyObject* Codec::decode_bytes(const Parcel& parcel) {
    return codec::Decoder(*impl_, parcel, codec::Names::message).run();
}

PyObject* Codec::decode_function(const Parcel& parcel) {
    return codec::Decoder(*impl_, parcel, codec::Names::function).run();
}

PyObject* Codec::decode_arguments(const Parcel& parcel) {
    return codec::Decoder(*impl_, parcel, codec::Names::arguments).run();
}

bool Codec::is_immutable_at(PyObject* value, int depth) const noexcept {
    if (is_scalar(value)) return true;
    PyTypeObject* type = Py_TYPE(value);
    if (type == &PyTuple_Type) {
        if (depth == 0) return false;
        for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(value); ++index) {
            if (!is_immutable_at(PyTuple_GET_ITEM(value, index), depth - 1)) return false;
        }
        return true;
    }
    if (type == &PyFrozenSet_Type) {
        if (depth == 0) return false;
        codec::Handle iterator(PyObject_GetIter(value));
        bool immutable = static_cast<bool>(iterator);
        while (immutable) {
            codec::Handle item(PyIter_Next(iterator.get()));
            if (!item) break;
            immutable = is_immutable_at(item.get(), depth - 1);
        }
        // Only memory can have run out.
        if (!PyErr_Occurred()) return immutable;
        drop_exception();
        return false;
    }
    if (type == &PyComplex_Type || type == &PyRange_Type || value == Py_Ellipsis) return true;
    // Handles of native objects: every copy of one is the same.
    for (const NativeType& native : impl_->natives) {
        if (native.type == type) return !native.is_shared || native.is_shared(value);
    }
    return false;
}

std::size_t Codec::immutable_bytes(PyObject* value) noexcept {
    PyTypeObject* type = Py_TYPE(value);
    const auto basic = static_cast<std::size_t>(type->tp_basicsize);
    if (type == &PyUnicode_Type) {
        return basic +
               static_cast<std::size_t>(PyUnicode_GET_LENGTH(value)) * static_cast<std::size_t>(PyUnicode_KIND(value));
    }
    if (type == &PyBytes_Type) return basic + static_cast<std::size_t>(PyBytes_GET_SIZE(value));
    if (type == &PyLong_Type) {
        return basic +
               static_cast<std::size_t>(PyLong_AsNativeBytes(value, nullptr, 0, Py_ASNATIVEBYTES_NATIVE_ENDIAN));
    }
    std::size_t bytes = basic;
    if (type == &PyTuple_Type) {
        for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(value); ++index) {
            bytes += sizeof(PyObject*) + immutable_bytes(PyTuple_GET_ITEM(value, index));
        }
    } else if (type == &PyFrozenSet_Type) {
        codec::Handle iterator(PyObject_GetIter(value));
        while (iterator) {
            codec::Handle item(PyIter_Next(iterator.get()));
            if (!item) break;
            bytes += 2 * sizeof(PyObject*) + immutable_bytes(item.get());
        }
        drop_exception();  // only memory can have run out
    }
    return bytes;
}

namespace codec {

bool Cache::fill() {
    const struct {
        Handle* place;
        const char* text;
    } names[] = {
        {&main_name, "__main__"},
        {&main_alias, "__smarm_main__"},
        {&main_loaded, "__smarm_loaded__"},
        {&module_name, "__module__"},
        {&qualified_name, "__qualname__"},
        {&fields_name, "_fields"},
        {&dict_name, "__dict__"},
        {&reduce_ex_name, "__reduce_ex__"},
        {&reduce_name, "__reduce__"},
        {&set_state_name, "__setstate__"},
        {&get_state_name, "__getstate__"},
        {&new_arguments_name, "__getnewargs__"},
        {&new_arguments_ex_name, "__getnewargs_ex__"},
        {&append_name, "append"},
        {&new_name, "__new__"},
        {&del_name, "__del__"},
        {&class_name, "__class__"},
        {&hash_name, "__hash__"},
        {&args_name, "args"},
        {&dataclass_fields_name, "__dataclass_fields__"},
        {&member_map_name, "_member_map_"},
        {&value_map_name, "_value2member_map_"},
        {&member_name_name, "_name_"},
        {&member_value_name, "_value_"},
        {&flag_mask_name, "_flag_mask_"},
        {&singles_mask_name, "_singles_mask_"},
    };
    for (const auto& name : names) {
        if (!*name.place) *name.place = Handle(PyUnicode_InternFromString(name.text));
        if (!*name.place) return false;
    }
    Handle copyreg(import_module("copyreg"));
    if (!copyreg) return false;
    auto* object = reinterpret_cast<PyObject*>(&PyBaseObject_Type);
    const struct {
        Handle* place;
        PyObject* owner;
        const char* name;
    } attributes[] = {
        {&dispatch_table, copyreg.get(), "dispatch_table"},
        {&new_object, copyreg.get(), "__newobj__"},
        {&new_object_ex, copyreg.get(), "__newobj_ex__"},
        {&object_reduce_ex, object, "__reduce_ex__"},
        {&object_reduce, object, "__reduce__"},
        {&object_get_state, object, "__getstate__"},
    };
    for (const auto& attribute : attributes) {
        if (!*attribute.place) *attribute.place = Handle(PyObject_GetAttrString(attribute.owner, attribute.name));
        if (!*attribute.place) return false;
    }
    if (!protocol) protocol = Handle(PyLong_FromLong(5));
    if (!no_arguments) no_arguments = Handle(PyTuple_New(0));
    ready = protocol && no_arguments;
    return ready;
}

}  // namespace codec
}  // namespace smarm
