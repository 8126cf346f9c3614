// Values by type, and those that are one tag and its operands.
#include "codec/encoder.h"
#include "smarm/interp/errors.h"
#include "smarm/interp/requested_exception.h"
#include "smarm/msg/buffer.h"

namespace smarm::codec {
namespace {

// Shorter strings, bytes and ints are written again rather than remembered.
constexpr std::size_t kWorthMemo = 64;

// Dict keys remembered before any has come again.
constexpr std::uint32_t kNamesOnTrial = 32;

// Whether the view is all of a Buffer object that any number of receivers may share.
bool is_whole_shared_buffer(const NativeType& type, const Py_buffer& view) {
    if (!view.obj || !Py_IS_TYPE(view.obj, type.type) || !type.is_shared(view.obj)) return false;
    Py_buffer whole;
    if (PyObject_GetBuffer(view.obj, &whole, PyBUF_SIMPLE) != 0) {
        drop_exception();
        return false;
    }
    const bool same = whole.buf == view.buf && whole.len == view.len;
    PyBuffer_Release(&whole);
    return same;
}

}  // namespace

// Writes a value, or opens a frame for it. Values that run no Python code may be borrowed from a container.
Encoder::Step Encoder::write(PyObject* value) {
    PyTypeObject* type = Py_TYPE(value);
    if (type == &PyUnicode_Type) {
        write_string(value);
        return Step::Done;
    }
    if (type == &PyLong_Type) {
        if (!write_int(value)) return Step::Failed;
        return Step::Done;
    }
    if (type == &PyFloat_Type) {
        double number = PyFloat_AS_DOUBLE(value);
        std::byte* to = room(1 + sizeof number);
        *to = static_cast<std::byte>(Tag::Float);
        std::memcpy(to + 1, &number, sizeof number);
        return Step::Done;
    }
    if (value == Py_None) {
        put(Tag::None);
        return Step::Done;
    }
    if (type == &PyBool_Type) {
        put(value == Py_True ? Tag::True : Tag::False);
        return Step::Done;
    }
    if (type == &PyDict_Type) {
        if (seen(value)) return Step::Done;
        return open_sequence(Kind::Dict, Tag::Dict, value, PyDict_GET_SIZE(value));
    }
    if (type == &PyList_Type) {
        if (seen(value)) return Step::Done;
        return open_sequence(Kind::List, Tag::List, value, PyList_GET_SIZE(value));
    }
    if (type == &PyTuple_Type) {
        Py_ssize_t count = PyTuple_GET_SIZE(value);
        bool marked = count > 0 && is_shared(value);
        if (marked && put_ref(value)) return Step::Done;
        Step step = open_sequence(Kind::Tuple, marked ? Tag::MarkedTuple : Tag::Tuple, value, count);
        if (step == Step::Opened) frames_.top().marked = marked;
        return step;
    }
    if (type == &PyBytes_Type) {
        return write_bytes(Tag::Bytes, value, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value));
    }
    return write_other(value);
}

Encoder::Step Encoder::write_other(PyObject* value) {
    PyTypeObject* type = Py_TYPE(value);
    if (type == codec_.pid.type) {
        std::uint64_t bits = codec_.pid.bits(value);
        std::byte* to = room(1 + sizeof bits);
        *to = static_cast<std::byte>(Tag::Pid);
        std::memcpy(to + 1, &bits, sizeof bits);
        return Step::Done;
    }
    for (const NativeType& native : codec_.natives) {
        if (type == native.type) return write_native(native, value);
    }
    if (type == &PyByteArray_Type) {
        return write_bytes(Tag::ByteArray, value, PyByteArray_AS_STRING(value), PyByteArray_GET_SIZE(value));
    }
    if (type == &PyComplex_Type) {
        Py_complex number = PyComplex_AsCComplex(value);
        std::byte* to = room(1 + sizeof number);
        *to = static_cast<std::byte>(Tag::Complex);
        std::memcpy(to + 1, &number, sizeof number);
        return Step::Done;
    }
    if (type == &PySet_Type) {
        if (seen(value)) return Step::Done;
        return open_set(Tag::Set, value);
    }
    if (type == &PyFrozenSet_Type) {
        bool marked = PySet_GET_SIZE(value) > 0 && is_shared(value);
        if (marked && put_ref(value)) return Step::Done;
        Step step = open_set(marked ? Tag::MarkedFrozenSet : Tag::FrozenSet, value);
        if (step == Step::Opened) frames_.top().marked = marked;
        return step;
    }
    if (type == &PyRange_Type) return write_range(value);
    if (type == &PySlice_Type) {
        bool marked = is_shared(value);
        if (marked && put_ref(value)) return Step::Done;
        put(marked ? Tag::MarkedSlice : Tag::Slice);
        Step step = push(Kind::Slice, value, 3);
        if (step == Step::Opened) frames_.top().marked = marked;
        return step;
    }
    if (value == Py_Ellipsis || value == Py_NotImplemented) {
        put(value == Py_Ellipsis ? Tag::Ellipsis : Tag::NotImplemented);
        return Step::Done;
    }
    if (PyPickleBuffer_Check(value)) return write_buffer(value);
    return write_object(value);
}

bool Encoder::write_int(PyObject* value) {
    long long number;
    auto* integer = reinterpret_cast<const PyLongObject*>(value);
    if (PyUnstable_Long_IsCompact(integer)) {
        number = PyUnstable_Long_CompactValue(integer);
    } else {
        int overflow;
        number = PyLong_AsLongLongAndOverflow(value, &overflow);
        if (overflow) return write_big_int(value);
    }
    auto put_int = [this](Tag tag, auto narrow) {
        std::byte* to = room(1 + sizeof narrow);
        *to = static_cast<std::byte>(tag);
        std::memcpy(to + 1, &narrow, sizeof narrow);
    };
    if (number >= kSmallIntMin && number <= kSmallIntMax) {
        *room(1) = static_cast<std::byte>(kSmallInt + (number - kSmallIntMin));
    } else if (number == static_cast<std::int8_t>(number)) {
        put_int(Tag::Int8, static_cast<std::int8_t>(number));
    } else if (number == static_cast<std::int16_t>(number)) {
        put_int(Tag::Int16, static_cast<std::int16_t>(number));
    } else if (number == static_cast<std::int32_t>(number)) {
        put_int(Tag::Int32, static_cast<std::int32_t>(number));
    } else {
        put_int(Tag::Int64, static_cast<std::int64_t>(number));
    }
    return true;
}

bool Encoder::write_big_int(PyObject* value) {
    constexpr int kFlags = Py_ASNATIVEBYTES_LITTLE_ENDIAN;
    Py_ssize_t size = PyLong_AsNativeBytes(value, nullptr, 0, kFlags);
    if (size < 0) return false;
    if (static_cast<std::size_t>(size) >= kWorthMemo && seen(value)) return true;
    put_number(Tag::BigInt, static_cast<std::uint64_t>(size));
    return PyLong_AsNativeBytes(value, room(static_cast<std::size_t>(size)), size, kFlags) >= 0;
}

void Encoder::write_string(PyObject* value) {
    auto length = static_cast<std::size_t>(PyUnicode_GET_LENGTH(value));
    auto kind = static_cast<std::size_t>(PyUnicode_KIND(value));
    const void* data = PyUnicode_DATA(value);
    if (kind == 1 && length <= kShortStringMax) {
        std::byte* to = room(1 + length);
        *to = static_cast<std::byte>(kShortString + length);
        std::memcpy(to + 1, data, length);
        return;
    }
    if (length * kind >= kWorthMemo && seen(value)) return;
    put_bytes(kind == 1 ? Tag::String1 : kind == 2 ? Tag::String2 : Tag::String4, length, data, length * kind);
}

// The dicts and objects of a list mostly have the same keys, and as the same strings: remembered, they need neither be
// written nor made and hashed again. This stops by itself where every key is new.
void Encoder::write_key(PyObject* key) {
    auto length = static_cast<std::size_t>(PyUnicode_GET_LENGTH(key));
    bool candidate = frames_.size() > 1 && is_shared(key) && length <= kShortStringMax &&
                     PyUnicode_KIND(key) == PyUnicode_1BYTE_KIND;
    if (candidate && put_ref(key)) {
        ++names_again_;
        return;
    }
    if (candidate && names_ <= kNamesOnTrial + 4 * names_again_) {
        ++names_;
        memo_.add(key);
        put(Tag::Name);
    }
    write_string(key);
}

Encoder::Step Encoder::write_bytes(Tag tag, PyObject* value, const char* data, Py_ssize_t size) {
    if ((tag == Tag::ByteArray || static_cast<std::size_t>(size) >= kWorthMemo) && seen(value)) return Step::Done;
    count_payload_copy(static_cast<std::size_t>(size));
    put_bytes(tag, static_cast<std::uint64_t>(size), data, static_cast<std::size_t>(size));
    return Step::Done;
}

// Data that an object offers for sending out of band. A frozen Buffer is shared; large data are copied once, into a
// Buffer of the receiver; small data into the parcel.
Encoder::Step Encoder::write_buffer(PyObject* value) {
    const Py_buffer* view = PyPickleBuffer_GetBuffer(value);
    if (!view) return explain(value);
    if (!PyBuffer_IsContiguous(view, 'A')) return unsendable(value, "the buffer must be contiguous");
    const NativeType* buffers = find_buffer_type();
    if (buffers && is_whole_shared_buffer(*buffers, *view)) return write_native(*buffers, view->obj);
    if (seen(value)) return Step::Done;
    auto size = static_cast<std::size_t>(view->len);
    if (buffers && size >= BufferMemory::kLarge) return write_large(value, *view);
    count_payload_copy(size);
    put_bytes(view->readonly ? Tag::Bytes : Tag::Buffer, size, view->buf, size);
    return Step::Done;
}

const NativeType* Encoder::find_buffer_type() const {
    for (const NativeType& native : codec_.natives) {
        if (native.id == NativeId::buffer) return &native;
    }
    return nullptr;
}

Encoder::Step Encoder::write_large(PyObject* value, const Py_buffer& view) {
    auto size = static_cast<std::size_t>(view.len);
    claim(size);
    bool over_limit = false;
    auto memory = BufferMemory::allocate(size, 64, BufferMemory::Contents::unset, &over_limit);
    if (over_limit) {
        raise_buffer_limit(size);
        return explain(value);
    }
    if (!memory) throw std::bad_alloc();
    std::memcpy(memory->data(), view.buf, size);
    count_payload_copy(size);
    Buffer buffer(std::move(memory));
    if (!view.readonly) {
        put_native(NativeId::buffer, make_shared_ref<BufferCargo>(std::move(buffer), nullptr));
    } else {
        buffer.freeze();
        put_native(NativeId::buffer, make_shared_ref<FrozenBuffer>(std::move(buffer)));
    }
    return Step::Done;
}

Encoder::Step Encoder::write_range(PyObject* value) {
    put(Tag::Range);
    for (const char* name : {"start", "stop", "step"}) {
        Handle number(PyObject_GetAttrString(value, name));
        if (!number || !write_int(number.get())) return Step::Failed;
    }
    return Step::Done;
}

Encoder::Step Encoder::write_native(const NativeType& type, PyObject* borrowed) {
    // What moves is remembered always: the value can reach it only once more by a Ref.
    const bool moves = type.is_shared && !type.is_shared(borrowed);
    if (moves ? marked_before(borrowed) : seen(borrowed)) return Step::Done;
    Handle value = Handle::share(borrowed);
    const NativeId id = type.id;  // the registry may grow while share() runs
    Ref<Shared> shared = type.share(value.get());
    if (!shared) return explain(value.get());
    put_native(id, std::move(shared));
    return Step::Done;
}

void Encoder::put_native(NativeId id, Ref<Shared> shared) {
    std::uint32_t position = builder_.attach(std::move(shared));
    std::byte* to = room(2 + varint_size(position));
    to[0] = static_cast<std::byte>(Tag::Native);
    to[1] = static_cast<std::byte>(id);
    put_varint(to + 2, position);
}

void Encoder::put_bytes(Tag tag, std::uint64_t number, const void* data, std::size_t size) {
    if (size > limit_) throw TooLarge();
    std::byte* to = room(1 + varint_size(number) + size);
    *to++ = static_cast<std::byte>(tag);
    to = put_varint(to, number);
    if (size) std::memcpy(to, data, size);
}

}  // namespace smarm::codec
