// The loop, and the types that need no Python code to be made.
#include <cstdarg>
#include <new>

#include "codec/data.h"
#include "codec/decoder.h"

#include "smarm/interp/errors.h"
#include "smarm/interp/requested_exception.h"

namespace smarm::codec {
namespace {

// Tuples hash recursively, on the C stack and without a memory of what they have hashed: refuses keys that would need
// more of either than a key that anybody made on purpose.
bool is_hash_cheap(PyObject* key, unsigned depth, unsigned& budget) {
    if (depth == 0 || budget == 0) return false;
    --budget;
    if (PySlice_Check(key)) {
        auto* slice = reinterpret_cast<PySliceObject*>(key);
        return is_hash_cheap(slice->start, depth - 1, budget) && is_hash_cheap(slice->stop, depth - 1, budget) &&
               is_hash_cheap(slice->step, depth - 1, budget);
    }
    if (!PyTuple_Check(key)) return true;
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(key); ++index) {
        if (!is_hash_cheap(PyTuple_GET_ITEM(key, index), depth - 1, budget)) return false;
    }
    return true;
}

}  // namespace

Decoder::~Decoder() {
    while (!frames_.empty()) pop();
    while (!memo_.empty()) Py_DECREF(memo_.pop());
}

PyObject* Decoder::run() {
    try {
        return build();
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    }
}

PyObject* Decoder::build() {
    Handle value;
    Step step = read(*value.out());
    while (step != Step::Failed && !frames_.empty()) step = resume(*value.out());
    if (step == Step::Failed) return nullptr;
    return reader_.left() == 0 ? value.release() : bad("bytes are left over");
}

Decoder::Step Decoder::resume(PyObject*& value) {
    switch (frames_.top().build) {
        case Build::List: return fill_list(value);
        case Build::Tuple:
        case Build::Slice: return fill_tuple(value);
        case Build::Set: return fill_set(value);
        case Build::Dict:
        case Build::Attributes: return fill_dict(value);
        case Build::Object: return fill_object(value);
        case Build::Custom: return fill_custom(value);
    }
    Py_UNREACHABLE();
}

// Until its place is filled each item is None. The list's own contents can refer to it, and Python code that they run
// can change its length.
Decoder::Step Decoder::fill_list(PyObject*& value) {
    BuildFrame& frame = frames_.top();
    for (;;) {
        if (value) {
            Handle item(std::exchange(value, nullptr));
            if (frame.index < PyList_GET_SIZE(frame.object)) {
                Handle replaced(PyList_GET_ITEM(frame.object, frame.index));
                PyList_SET_ITEM(frame.object, frame.index, item.release());
            } else if (PyList_Append(frame.object, item.get()) < 0) {
                return Step::Failed;
            }
            ++frame.index;
        }
        if (frame.index == frame.count) return finish(value);
        Step step = read(value);
        if (step != Step::Value) return step;
    }
}

Decoder::Step Decoder::fill_tuple(PyObject*& value) {
    BuildFrame& frame = frames_.top();
    for (;;) {
        if (value) {
            // SAFETY: nobody else has this tuple before it is complete; None, which stood there, is immortal.
            PyTuple_SET_ITEM(frame.object, frame.index++, std::exchange(value, nullptr));
        }
        if (frame.index == frame.count) return finish(value);
        Step step = read(value);
        if (step != Step::Value) return step;
    }
}

Decoder::Step Decoder::fill_set(PyObject*& value) {
    BuildFrame& frame = frames_.top();
    for (;;) {
        if (value) {
            Handle item(std::exchange(value, nullptr));
            if (!add_key(item.get())) return Step::Failed;
            if (PySet_Add(frame.object, item.get()) < 0) {
                blame();
                return Step::Failed;
            }
            ++frame.index;
        }
        if (frame.index == frame.count) return finish(value);
        Step step = read(value);
        if (step != Step::Value) return step;
    }
}

Decoder::Step Decoder::fill_dict(PyObject*& value) {
    BuildFrame& frame = frames_.top();
    for (;;) {
        if (value && !frame.extra) {
            frame.extra = std::exchange(value, nullptr);
            if (frame.build == Build::Attributes ? !add_attribute(frame) : !add_key(frame.extra)) return Step::Failed;
        } else if (value) {
            Handle key(std::exchange(frame.extra, nullptr));
            Handle item(std::exchange(value, nullptr));
            if (PyDict_SetItem(frame.object, key.get(), item.get()) < 0) {
                blame();
                return Step::Failed;
            }
            ++frame.index;
        }
        if (frame.index == frame.count) break;
        Step step = read(value);
        if (step != Step::Value) return step;
    }
    if (frame.build == Build::Dict) return finish(value);
    // The object below goes on without a child.
    pop();
    return Step::Opened;
}

// Takes a finished container off the stack; reads what follows a marked one.
Decoder::Step Decoder::finish(PyObject*& value) {
    BuildFrame& frame = frames_.top();
    Handle object(std::exchange(frame.object, nullptr));
    Build build = frame.build;
    bool marked = frame.marked;
    pop();
    if (build == Build::Slice) {
        object = Handle(PySlice_New(PyTuple_GET_ITEM(object.get(), 0), PyTuple_GET_ITEM(object.get(), 1),
                                    PyTuple_GET_ITEM(object.get(), 2)));
        if (!object) return Step::Failed;
    }
    if (marked) {
        std::uint8_t trailer;
        if (!reader_.byte(trailer)) return fail("the end is missing");
        if (trailer == static_cast<std::uint8_t>(Tag::Use)) {
            object = Handle(read_ref());
            if (!object) return Step::Failed;
        } else if (trailer == static_cast<std::uint8_t>(Tag::Memo)) {
            remember(object.get());
        } else {
            return fail("a marked value does not end as one");
        }
    }
    value = object.release();
    return Step::Value;
}

template <class T>
Decoder::Step Decoder::read_int(PyObject*& value) {
    T number;
    if (!reader_.number(number)) return fail("a number is cut off");
    value = PyLong_FromLong(number);
    return value ? Step::Value : Step::Failed;
}

// Reads one value, or opens a frame for it.
Decoder::Step Decoder::read(PyObject*& value) {
    std::uint8_t byte;
    if (!reader_.byte(byte)) return fail("the end is missing");
    if (byte >= kSmallInt) {
        value = PyLong_FromLong(static_cast<long>(byte) - kSmallInt + kSmallIntMin);
        return value ? Step::Value : Step::Failed;
    }
    if (byte >= kShortString) {
        const std::byte* characters = reader_.take(byte - kShortString);
        if (!characters) return fail("a string is cut off");
        value = PyUnicode_FromKindAndData(PyUnicode_1BYTE_KIND, characters, byte - kShortString);
        return value ? Step::Value : Step::Failed;
    }
    auto tag = static_cast<Tag>(byte);
    switch (tag) {
        case Tag::None: value = Py_None; return Step::Value;
        case Tag::True: value = Py_True; return Step::Value;
        case Tag::False: value = Py_False; return Step::Value;
        case Tag::Float: {
            double number;
            if (!reader_.number(number)) return fail("a number is cut off");
            value = PyFloat_FromDouble(number);
            return value ? Step::Value : Step::Failed;
        }
        case Tag::Int8: return read_int<std::int8_t>(value);
        case Tag::Int16: return read_int<std::int16_t>(value);
        case Tag::Int32: return read_int<std::int32_t>(value);
        case Tag::Int64: return read_int<std::int64_t>(value);
        case Tag::List:
        case Tag::Dict:
        case Tag::Tuple: return open_sequence(tag, false, value);
        case Tag::Ref: value = read_ref(); return value ? Step::Value : Step::Failed;
        case Tag::Mark:
            if (!reader_.byte(byte)) return fail("the end is missing");
            return read_other(static_cast<Tag>(byte), true, value);
        default: return read_other(tag, false, value);
    }
}

// `mark`: the value gets a number, before its contents.
Decoder::Step Decoder::read_other(Tag tag, bool mark, PyObject*& value) {
    switch (tag) {
        case Tag::List:
        case Tag::Dict:
        case Tag::Set: return open_sequence(tag, mark, value);
        case Tag::BigInt: value = read_number(tag); break;
        case Tag::String1:
        case Tag::String2:
        case Tag::String4: value = read_string(tag); break;
        case Tag::Bytes:
        case Tag::ByteArray:
        case Tag::Buffer: value = read_bytes(tag); break;
        case Tag::Native: value = read_native(); break;
        default:
            if (mark) return fail("a mark stands before a value that has none");
            switch (tag) {
                case Tag::Tuple:
                case Tag::FrozenSet:
                case Tag::MarkedTuple:
                case Tag::MarkedFrozenSet:
                case Tag::Slice:
                case Tag::MarkedSlice: return open_sequence(tag, false, value);
                case Tag::Ellipsis: value = Py_NewRef(Py_Ellipsis); break;
                case Tag::NotImplemented: value = Py_NewRef(Py_NotImplemented); break;
                case Tag::Complex:
                case Tag::Pid: value = read_number(tag); break;
                case Tag::Range: value = read_range(); break;
                case Tag::Name: value = read_name(); break;
                case Tag::TypeOf: value = read_type(); break;
                case Tag::Custom: return open_custom();
                case Tag::Global: value = read_global(); break;
                case Tag::Member:
                    if (codec_.limits.objects == Objects::none) return fail("an enum, which is not allowed here");
                    value = read_member();
                    break;
                case Tag::Plain:
                case Tag::New:
                case Tag::NewKeywords:
                case Tag::Call:
                case Tag::Exception: return open_object(tag);
                default: return fail("an unknown tag");
            }
    }
    if (!value) return Step::Failed;
    if (mark) {
        remember(value);
    }
    return Step::Value;
}

Decoder::Step Decoder::open_sequence(Tag tag, bool mark, PyObject*& value) {
    bool slice = tag == Tag::Slice || tag == Tag::MarkedSlice;
    std::uint64_t count = 3;
    if (!slice && !reader_.varint(count)) return fail("a count is cut off");
    if (!claim(count, tag == Tag::Dict ? 2 : 1)) return Step::Failed;
    auto size = static_cast<Py_ssize_t>(count);

    Build build = slice ? Build::Slice : Build::Tuple;
    Handle object;
    switch (tag) {
        case Tag::List:
            build = Build::List;
            object = Handle(PyList_New(size));
            for (Py_ssize_t index = 0; object && index < size; ++index) PyList_SET_ITEM(object.get(), index, Py_None);
            break;
        case Tag::Dict:
            build = Build::Dict;
            object = Handle(PyDict_New());
            break;
        case Tag::Set:
            build = Build::Set;
            object = Handle(PySet_New(nullptr));
            break;
        case Tag::FrozenSet:
        case Tag::MarkedFrozenSet:
            build = Build::Set;
            object = Handle(PyFrozenSet_New(nullptr));
            break;
        default:
            object = Handle(PyTuple_New(size));
            for (Py_ssize_t index = 0; object && index < size; ++index) PyTuple_SET_ITEM(object.get(), index, Py_None);
    }
    if (!object) return Step::Failed;
    if (mark) remember(object.get());
    bool marked = tag == Tag::MarkedTuple || tag == Tag::MarkedFrozenSet || tag == Tag::MarkedSlice;
    if (size > 0 || marked) return push(build, object.release(), size, tag, marked);
    value = object.release();
    return Step::Value;
}

// Every child needs a byte at least, wherever in the parcel it stands.
bool Decoder::claim(std::uint64_t count, std::uint64_t values) {
    if (count > (parcel_.size() - claimed_) / values) {
        bad("more children are announced than there are bytes");
        return false;
    }
    claimed_ += count * values;
    return true;
}

// Takes over `object`, also when it fails.
Decoder::Step Decoder::push(Build build, PyObject* object, Py_ssize_t count, Tag tag, bool marked) {
    Handle owned(object);
    // The encoder counts an object and its state as one level; here they are up to three frames.
    if (frames_.size() / 3 > codec_.limits.depth) return fail("nested too deep");
    frames_.push({nullptr, nullptr, 0, count, build, tag, Await::Callable, marked});
    frames_.top().object = owned.release();
    return Step::Opened;
}

void Decoder::pop() {
    BuildFrame frame = frames_.pop();
    Py_XDECREF(frame.extra);
    Py_XDECREF(frame.object);
}

// Whether the object below may have an attribute of this name.
bool Decoder::add_attribute(BuildFrame& frame) {
    // As the names of attributes are in objects that were made here.
    const bool is_string = PyUnicode_CheckExact(frame.extra);
    if (is_string) PyUnicode_InternInPlace(&frame.extra);
    if (!only_data()) return is_string || add_key(frame.extra);
    PyTypeObject* owner = Py_TYPE(frames_[frames_.size() - 2].object);
    if (!is_string) return bad("an attribute whose name is no string"), false;
    if (is_data_attribute(codec_, owner, frame.extra)) return true;
    return refuse_attribute(owner, frame.extra);
}

bool Decoder::check_key(PyObject* key) {
    if (only_data()) {
        if (is_data_key(codec_, key)) return true;
        Handle name(PyType_GetFullyQualifiedName(Py_TYPE(key)));
        if (name) refuse("a %U as a key: hashing and comparing it may be a call, which is not allowed", name.get());
        return false;
    }
    unsigned budget = 1u << 20;
    if (is_hash_cheap(key, 500, budget)) return true;
    bad("a key is nested too deep");
    return false;
}

std::nullptr_t Decoder::bad(const char* what) {
    raise_error("DecodeError", "%s (at byte %zu of %zu)", what, parcel_.size() - reader_.left(), parcel_.size());
    return nullptr;
}

std::nullptr_t Decoder::refuse(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    Handle what(PyUnicode_FromFormatV(format, arguments));
    va_end(arguments);
    if (what) {
        raise_error("DecodeError", "%U (at byte %zu of %zu)", what.get(), parcel_.size() - reader_.left(),
                    parcel_.size());
    }
    return nullptr;
}

std::nullptr_t Decoder::blame() {
    if (!PyErr_ExceptionMatches(PyExc_TypeError) && !PyErr_ExceptionMatches(PyExc_ValueError) &&
        !PyErr_ExceptionMatches(PyExc_OverflowError)) {
        return nullptr;
    }
    Handle cause(PyErr_GetRaisedException());
    Handle text(PyObject_Str(cause.get()));
    const char* what = text ? PyUnicode_AsUTF8(text.get()) : nullptr;
    if (!what) {
        drop_exception();
        what = "a value cannot be made";
    }
    return bad(what);
}

}  // namespace smarm::codec
