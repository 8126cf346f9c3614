#include "smarm/codec/functions.h"

#include <cstring>
#include <new>
#include <optional>

#include "interp/method_table.h"
#include "smarm/codec/codec.h"
#include "smarm/interp/errors.h"
#include "smarm/interp/interpreter_state.h"

namespace smarm {
namespace {

// One call's codec: this interpreter's, or one made for the options.
class Chosen {
public:
    // Takes the only positional argument out of a call, or returns nullptr with an exception set.
    PyObject* parse(PyObject* arguments, PyObject* keywords, const char* format) {
        CodecLimits limits;
        PyObject* value = nullptr;
        unsigned int depth = limits.depth;
        unsigned long long size = limits.bytes;
        int allow_reduce = 1;
        int pickle = 1;
        int main_by_value = 0;
        const char* trusted = nullptr;
        static const char* const names[] = {"",       "depth",         "size",           "allow_reduce",
                                            "pickle", "main_by_value", "trusted_module", nullptr};
        if (!PyArg_ParseTupleAndKeywords(arguments, keywords, format, const_cast<char**>(names), &value, &depth, &size,
                                         &allow_reduce, &pickle, &main_by_value, &trusted)) {
            return nullptr;
        }
        if (keywords && PyDict_GET_SIZE(keywords) > 0) {
            limits.depth = depth;
            limits.bytes = size;
            limits.objects = !allow_reduce ? Objects::none : pickle ? Objects::any : Objects::data;
            own_.emplace(limits);
            own_->set_main_by_value(main_by_value != 0);
            if (trusted) own_->set_trusted_modules({trusted});
        }
        return value;
    }
    Codec& get() { return own_ ? *own_ : codec_of(*interpreter_state()); }

private:
    std::optional<Codec> own_;
};

PyObject* encode(PyObject*, PyObject* arguments, PyObject* keywords) {
    Chosen codec;
    PyObject* value = codec.parse(arguments, keywords, "O|$IKppps:_encode");
    if (!value) return nullptr;
    OwnedParcel parcel = codec.get().encode(value, "value");
    if (!parcel) return nullptr;
    if (!parcel->attachments().empty()) return raise_error("NotSendable", "value: bytes cannot carry native objects");
    return PyBytes_FromStringAndSize(reinterpret_cast<const char*>(parcel->data()),
                                     static_cast<Py_ssize_t>(parcel->size()));
}

PyObject* decode(PyObject*, PyObject* arguments, PyObject* keywords) {
    Chosen codec;
    PyObject* bytes = codec.parse(arguments, keywords, "S|$IKppps:_decode");
    if (!bytes) return nullptr;
    try {
        auto size = static_cast<std::size_t>(PyBytes_GET_SIZE(bytes));
        ParcelBuilder builder;
        std::memcpy(builder.append(size), PyBytes_AS_STRING(bytes), size);
        return codec.get().decode_bytes(*builder.finish());
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    }
}

PyObject* round_trip(PyObject*, PyObject* arguments, PyObject* keywords) {
    Chosen codec;
    PyObject* value = codec.parse(arguments, keywords, "O|$IKppps:_roundtrip");
    if (!value) return nullptr;
    OwnedParcel parcel = codec.get().encode(value, "value");
    return parcel ? codec.get().decode_bytes(*parcel) : nullptr;
}

PyObject* is_immutable(PyObject*, PyObject* value) {
    return PyBool_FromLong(codec_of(*interpreter_state()).is_immutable(value));
}

PyObject* register_codec(PyObject*, PyObject* arguments) {
    PyTypeObject* type = nullptr;
    const char* name = nullptr;
    PyObject* encode = nullptr;
    PyObject* decode = nullptr;
    if (!PyArg_ParseTuple(arguments, "O!sOO:_register_codec", &PyType_Type, &type, &name, &encode, &decode)) {
        return nullptr;
    }
    if (!codec_of(*interpreter_state()).add_python_codec(type, name, encode, decode)) return nullptr;
    Py_RETURN_NONE;
}

PyObject* forget_codecs(PyObject*, PyObject*) {
    if (!codec_of(*interpreter_state()).forget_python_codecs()) return nullptr;
    Py_RETURN_NONE;
}

}  // namespace

PyMethodDef codec_functions[] = {
    {"_encode", SMARM_KEYWORD_METHOD(encode), nullptr},
    {"_decode", SMARM_KEYWORD_METHOD(decode), nullptr},
    {"_roundtrip", SMARM_KEYWORD_METHOD(round_trip), nullptr},
    {"_is_immutable", is_immutable, METH_O, nullptr},
    {"_register_codec", register_codec, METH_VARARGS, nullptr},
    {"_forget_codecs", forget_codecs, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace smarm
