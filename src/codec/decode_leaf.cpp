// Values that are one tag and its operands.
#include "codec/decoder.h"
#include "smarm/msg/buffer_memory.h"

namespace smarm::codec {
namespace {

// Returns the largest character of a string that need not be aligned.
template <class T>
Py_UCS4 largest(const std::byte* characters, std::size_t length) {
    T most = 0;
    for (std::size_t index = 0; index < length; ++index) {
        T character;
        std::memcpy(&character, characters + index * sizeof character, sizeof character);
        if (character > most) most = character;
    }
    return most;
}

}  // namespace

PyObject* Decoder::read_number(Tag tag) {
    switch (tag) {
        case Tag::BigInt: {
            std::uint64_t size;
            if (!reader_.varint(size)) break;
            const std::byte* bytes = reader_.take(size);
            if (!bytes) break;
            return PyLong_FromNativeBytes(bytes, size, Py_ASNATIVEBYTES_LITTLE_ENDIAN);
        }
        case Tag::Complex: {
            Py_complex number;
            if (!reader_.number(number)) break;
            return PyComplex_FromCComplex(number);
        }
        case Tag::Pid: {
            std::uint64_t bits;
            if (!reader_.number(bits)) break;
            if (!codec_.pid.make) return bad("a pid, which this codec does not know");
            return codec_.pid.make(bits);
        }
        default: break;
    }
    return PyErr_Occurred() ? nullptr : bad("a number is cut off");
}

PyObject* Decoder::read_string(Tag tag) {
    std::uint64_t length;
    if (!reader_.varint(length)) return bad("a length is cut off");
    if (tag != Tag::String1) return read_wide_string(length, tag == Tag::String2 ? 2 : 4);
    const std::byte* characters = reader_.take(length);
    if (!characters) return bad("a string is cut off");
    return PyUnicode_FromKindAndData(PyUnicode_1BYTE_KIND, characters, static_cast<Py_ssize_t>(length));
}

PyObject* Decoder::read_name() {
    std::uint8_t byte;
    if (!reader_.byte(byte) || byte < kShortString || byte >= kSmallInt) return bad("a name is not a short string");
    const std::byte* characters = reader_.take(byte - kShortString);
    if (!characters) return bad("a name is cut off");
    PyObject* name = PyUnicode_FromKindAndData(PyUnicode_1BYTE_KIND, characters, byte - kShortString);
    if (!name) return nullptr;
    PyUnicode_InternInPlace(&name);
    remember(name);
    return name;
}

// CPython's own constructor wants the characters aligned, which they are not.
PyObject* Decoder::read_wide_string(std::uint64_t length, int kind) {
    if (length > reader_.left()) return bad("a string is cut off");
    auto bytes = static_cast<std::size_t>(length) * static_cast<std::size_t>(kind);
    const std::byte* characters = reader_.take(bytes);
    if (!characters) return bad("a string is cut off");
    Py_UCS4 maximum = kind == 2 ? largest<Py_UCS2>(characters, length) : largest<Py_UCS4>(characters, length);
    if (maximum > 0x10ffff) return bad("a string has a character that does not exist");
    if (maximum <= (kind == 2 ? 0xffu : 0xffffu)) return bad("a string is wider than its characters");
    PyObject* value = PyUnicode_New(static_cast<Py_ssize_t>(length), maximum);
    if (value) std::memcpy(PyUnicode_DATA(value), characters, bytes);
    return value;
}

PyObject* Decoder::read_bytes(Tag tag) {
    std::uint64_t size;
    if (!reader_.varint(size)) return bad("a length is cut off");
    const auto* bytes = reinterpret_cast<const char*>(reader_.take(size));
    if (!bytes) return bad("bytes are cut off");
    auto length = static_cast<Py_ssize_t>(size);
    count_payload_copy(size);
    if (tag == Tag::Bytes) return PyBytes_FromStringAndSize(bytes, length);
    return PyByteArray_FromStringAndSize(bytes, length);
}

PyObject* Decoder::read_range() {
    Handle numbers[3];
    for (Handle& number : numbers) {
        if (read(*number.out()) != Step::Value) return PyErr_Occurred() ? nullptr : bad("a range of containers");
        if (!PyLong_CheckExact(number.get())) return bad("a range of something else than ints");
    }
    PyObject* arguments[] = {numbers[0].get(), numbers[1].get(), numbers[2].get()};
    PyObject* range = PyObject_Vectorcall(reinterpret_cast<PyObject*>(&PyRange_Type), arguments, 3, nullptr);
    return range ? range : blame();
}

PyObject* Decoder::read_ref() {
    std::uint64_t number;
    if (!reader_.varint(number)) return bad("a reference is cut off");
    if (number >= memo_.size()) return bad("a reference to something that is not there");
    return Py_NewRef(memo_[number]);
}

PyObject* Decoder::read_native() {
    std::uint8_t id;
    std::uint64_t position;
    if (!reader_.byte(id) || !reader_.varint(position)) return bad("an attachment is cut off");
    if (position >= parcel_.attachments().size()) return bad("an attachment that is not there");
    for (const NativeType& native : codec_.natives) {
        if (static_cast<std::uint8_t>(native.id) == id) return native.wrap(parcel_.attachments()[position]);
    }
    return bad("an attachment of an unknown type");
}

PyObject* Decoder::read_type() {
    std::uint8_t byte;
    if (!reader_.byte(byte)) return bad("a type is cut off");
    switch (static_cast<Tag>(byte)) {
        case Tag::None: return Py_NewRef(reinterpret_cast<PyObject*>(Py_TYPE(Py_None)));
        case Tag::Ellipsis: return Py_NewRef(reinterpret_cast<PyObject*>(Py_TYPE(Py_Ellipsis)));
        case Tag::NotImplemented: return Py_NewRef(reinterpret_cast<PyObject*>(Py_TYPE(Py_NotImplemented)));
        default: return bad("the type of something unknown");
    }
}

}  // namespace smarm::codec
