// The object, its protocols (sequence, buffer, comparison), and how it travels.
#include "bind/buffer_object.h"

#include <cstddef>
#include <cstring>
#include <new>

#include "bind/native_object.h"
#include "smarm/codec/codec.h"
#include "smarm/interp/buffer_loan.h"
#include "smarm/interp/errors.h"
#include "smarm/interp/requested_exception.h"
#include "smarm/sched/worker.h"

namespace smarm::bind {
namespace {

PyTypeObject* buffer_type() { return native_type(*interpreter_state(), NativeTypeIndex::buffer); }

// Takes over the holder.
PyObject* wrap_holder(Ref<BufferHolder> holder, std::size_t offset, std::size_t size) {
    auto* self = PyObject_New(BufferObject, buffer_type());
    if (!self) return nullptr;
    holder->add_user();
    self->holder = holder.release();
    self->offset = offset;
    self->size = size;
    self->hash = -1;
    self->weak_references = nullptr;
    return reinterpret_cast<PyObject*>(self);
}

void buffer_dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    BufferObject& buffer = as_buffer(self);
    if (buffer.weak_references) PyObject_ClearWeakRefs(self);
    buffer.holder->drop_user();
    buffer.holder->drop_reference();
    type->tp_free(self);
    Py_DECREF(type);
    take_back_loans();
}

PyObject* buffer_repr(PyObject* self) {
    BufferObject& buffer = as_buffer(self);
    if (buffer.holder->moved()) return PyUnicode_FromString("<smarm.Buffer, moved>");
    const char* frozen = buffer.holder->buffer().frozen() ? ", frozen" : "";
    return PyUnicode_FromFormat("<smarm.Buffer of %zu byte%s%s>", buffer.size, buffer.size == 1 ? "" : "s", frozen);
}

// ---- sequence -------------------------------------------------------------------------------------------------------

Py_ssize_t buffer_length(PyObject* self) {
    return usable(as_buffer(self)) ? static_cast<Py_ssize_t>(as_buffer(self).size) : -1;
}

bool check_index(const BufferObject& self, Py_ssize_t index) {
    if (index >= 0 && static_cast<std::size_t>(index) < self.size) return true;
    PyErr_SetString(PyExc_IndexError, "the index is outside of the smarm.Buffer");
    return false;
}

PyObject* buffer_item(PyObject* self, Py_ssize_t index) {
    BufferObject& buffer = as_buffer(self);
    if (!usable(buffer) || !check_index(buffer, index)) return nullptr;
    return PyLong_FromLong(static_cast<long>(bytes_of(buffer)[index]));
}

// Reads a key: an index (then *count is -1, *start the index) or a slice without step. False with an exception set.
bool read_key(PyObject* self, PyObject* key, Py_ssize_t* start, Py_ssize_t* count) {
    Py_ssize_t stop = 0;
    Py_ssize_t step = 1;
    if (PyIndex_Check(key)) {
        *start = PyNumber_AsSsize_t(key, PyExc_IndexError);
        if (*start == -1 && PyErr_Occurred()) return false;
    } else if (!PySlice_Check(key)) {
        PyErr_Format(PyExc_TypeError, "a smarm.Buffer is indexed by ints and slices, not %.100s",
                     Py_TYPE(key)->tp_name);
        return false;
    } else if (PySlice_Unpack(key, start, &stop, &step) != 0) {
        return false;
    }
    // Only now: reading the key can run code, which can move the buffer.
    const Py_ssize_t length = buffer_length(self);
    if (length < 0) return false;
    if (PyIndex_Check(key)) {
        if (*start < 0) *start += length;
        *count = -1;
        return check_index(as_buffer(self), *start);
    }
    if (step != 1) {
        PyErr_SetString(PyExc_ValueError, "a slice of a smarm.Buffer is contiguous: take memoryview(buffer)[::step]");
        return false;
    }
    *count = PySlice_AdjustIndices(length, start, &stop, step);
    return true;
}

PyObject* buffer_subscript(PyObject* self, PyObject* key) {
    Py_ssize_t start = 0;
    Py_ssize_t count = 0;
    if (!read_key(self, key, &start, &count)) return nullptr;
    if (count < 0) return buffer_item(self, start);
    BufferObject& buffer = as_buffer(self);
    return wrap_slice(buffer, static_cast<std::size_t>(start), static_cast<std::size_t>(count));
}

bool check_writable(BufferObject& self) {
    const Buffer* buffer = usable(self);
    if (!buffer) return false;
    if (buffer->frozen()) PyErr_SetString(PyExc_TypeError, "a frozen smarm.Buffer cannot be changed");
    return !buffer->frozen();
}

int assign_item(PyObject* self, PyObject* key, PyObject* value) {
    const Py_ssize_t byte = PyNumber_AsSsize_t(value, nullptr);
    if (byte == -1 && PyErr_Occurred()) return -1;
    if (byte < 0 || byte > 255) {
        PyErr_Format(PyExc_ValueError, "a byte is from 0 to 255, not %R", value);
        return -1;
    }
    Py_ssize_t start = 0;
    Py_ssize_t count = 0;
    if (!read_key(self, key, &start, &count) || !check_writable(as_buffer(self))) return -1;
    bytes_of(as_buffer(self))[start] = static_cast<std::byte>(byte);
    return 0;
}

int buffer_assign(PyObject* self, PyObject* key, PyObject* value) {
    if (!value) {
        PyErr_SetString(PyExc_TypeError, "bytes of a smarm.Buffer cannot be deleted: its size never changes");
        return -1;
    }
    if (!PySlice_Check(key)) return assign_item(self, key, value);
    View view;
    if (!view.get(value, PyBUF_SIMPLE)) return -1;
    Py_ssize_t start = 0;
    Py_ssize_t count = 0;
    if (!read_key(self, key, &start, &count) || !check_writable(as_buffer(self))) return -1;
    if (view.size() != static_cast<std::size_t>(count)) {
        PyErr_Format(PyExc_ValueError, "%zd bytes cannot take the place of %zd: a smarm.Buffer's size never changes",
                     static_cast<Py_ssize_t>(view.size()), count);
        return -1;
    }
    std::memmove(bytes_of(as_buffer(self)) + start, view.data(), view.size());
    return 0;
}

// ---- buffer protocol ------------------------------------------------------------------------------------------------

int buffer_get(PyObject* self, Py_buffer* view, int flags) {
    view->obj = nullptr;
    BufferObject& buffer = as_buffer(self);
    const Buffer* usable_buffer = usable(buffer);
    if (!usable_buffer) return -1;
    const int read_only = usable_buffer->frozen();
    if (PyBuffer_FillInfo(view, self, bytes_of(buffer), static_cast<Py_ssize_t>(buffer.size), read_only, flags) != 0) {
        return -1;
    }
    buffer.holder->add_user();
    return 0;
}

void buffer_release(PyObject* self, Py_buffer*) { as_buffer(self).holder->drop_user(); }

// ---- comparison -----------------------------------------------------------------------------------------------------

PyObject* buffer_compare(PyObject* self, PyObject* other, int operation) {
    if ((operation != Py_EQ && operation != Py_NE) || !PyObject_CheckBuffer(other)) Py_RETURN_NOTIMPLEMENTED;
    View view;
    if (!view.get(other, PyBUF_SIMPLE)) {
        if (!PyErr_ExceptionMatches(PyExc_BufferError) || current_error_is("BufferMoved")) return nullptr;
        drop_exception();
        Py_RETURN_NOTIMPLEMENTED;
    }
    BufferObject& buffer = as_buffer(self);
    if (!usable(buffer)) return nullptr;
    const bool equal = view.size() == buffer.size && std::memcmp(bytes_of(buffer), view.data(), buffer.size) == 0;
    return PyBool_FromLong(equal == (operation == Py_EQ));
}

// As that of the bytes object with the same bytes, to which it is equal.
Py_hash_t buffer_hash(PyObject* self) {
    BufferObject& buffer = as_buffer(self);
    const Buffer* whole = usable(buffer);
    if (!whole) return -1;
    if (!whole->frozen()) {
        PyErr_SetString(PyExc_TypeError, "a smarm.Buffer that can change has no hash: freeze() it first");
        return -1;
    }
    if (buffer.hash == -1) {
        buffer.hash =
            buffer.size == 0 ? 0 : PyHash_GetFuncDef()->hash(bytes_of(buffer), static_cast<Py_ssize_t>(buffer.size));
        if (buffer.hash == -1) buffer.hash = -2;
    }
    return buffer.hash;
}

// ---- travelling -----------------------------------------------------------------------------------------------------

bool buffer_is_shared(PyObject* self) {
    BufferHolder& holder = *as_buffer(self).holder;
    return !holder.moved() && holder.buffer().frozen();
}

Ref<Shared> buffer_share(PyObject* self) {
    BufferObject& object = as_buffer(self);
    const Buffer* buffer = usable(object);
    if (!buffer) return nullptr;
    try {
        if (buffer->frozen()) {
            Buffer part = buffer->share();
            part.narrow(object.offset, object.size);
            return make_shared_ref<FrozenBuffer>(std::move(part));
        }
        Buffer taken = take_buffer(object, "send it");
        if (!taken) return nullptr;
        return make_shared_ref<BufferCargo>(std::move(taken), Ref<BufferHolder>::share(object.holder));
    } catch (const std::bad_alloc&) {
        PyErr_NoMemory();
        return nullptr;
    }
}

PyObject* buffer_wrap(Ref<Shared> native) {
    if (auto* frozen = dynamic_cast<FrozenBuffer*>(native.get())) return wrap_buffer(frozen->buffer.share());
    auto* cargo = dynamic_cast<BufferCargo*>(native.get());
    if (!cargo) return raise_error("DecodeError", "a message names something as a buffer that is none");
    Buffer buffer = cargo->take();
    if (buffer) return wrap_buffer(std::move(buffer));
    return raise_error("BufferMoved",
                       "this smarm.Buffer has gone to somebody else who took the same value (an earlier "
                       "join, another monitor): freeze() what several are to have");
}

// ---- the type -------------------------------------------------------------------------------------------------------

PyObject* buffer_frozen(PyObject* self, void*) {
    const Buffer* buffer = usable(as_buffer(self));
    return buffer ? PyBool_FromLong(buffer->frozen()) : nullptr;
}

PyObject* buffer_moved(PyObject* self, void*) { return PyBool_FromLong(as_buffer(self).holder->moved()); }

PyGetSetDef buffer_attributes[] = {
    {"frozen", buffer_frozen, nullptr, "Whether it is immutable, and shared when it is sent.", nullptr},
    {"moved", buffer_moved, nullptr, "Whether it has gone to another owner: then every other use raises BufferMoved.",
     nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyMemberDef buffer_members[] = {
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(BufferObject, weak_references), Py_READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

PyType_Slot buffer_slots[] = {
    {Py_tp_doc,
     const_cast<char*>(
         "Buffer(source, /, *, align=64)\n--\n\nBytes that move: a message takes a Buffer along without copying it, to "
         "any "
         "worker.\n\nsource is a size (the bytes are 0) or a bytes-like object, which is copied; align is the "
         "alignment of "
         "the first byte, a power of two.\nThe object is a writable, contiguous bytes-like object of fixed size.  "
         "Sending it "
         "gives it away: after that every use raises\nBufferMoved.  While a memoryview, array or slice of it is alive, "
         "sending raises BufferError, and nothing is sent.  A frozen one is shared.\nRaises MemoryError, ValueError, "
         "TypeError.")},
    {Py_tp_new, reinterpret_cast<void*>(new_buffer)},
    {Py_tp_dealloc, reinterpret_cast<void*>(buffer_dealloc)},
    {Py_tp_repr, reinterpret_cast<void*>(buffer_repr)},
    {Py_tp_hash, reinterpret_cast<void*>(buffer_hash)},
    {Py_tp_richcompare, reinterpret_cast<void*>(buffer_compare)},
    {Py_tp_methods, buffer_methods},
    {Py_tp_getset, buffer_attributes},
    {Py_tp_members, buffer_members},
    {Py_sq_length, reinterpret_cast<void*>(buffer_length)},
    {Py_sq_item, reinterpret_cast<void*>(buffer_item)},
    {Py_mp_length, reinterpret_cast<void*>(buffer_length)},
    {Py_mp_subscript, reinterpret_cast<void*>(buffer_subscript)},
    {Py_mp_ass_subscript, reinterpret_cast<void*>(buffer_assign)},
    {Py_bf_getbuffer, reinterpret_cast<void*>(buffer_get)},
    {Py_bf_releasebuffer, reinterpret_cast<void*>(buffer_release)},
    {0, nullptr},
};

PyType_Spec buffer_spec = {"smarm.Buffer", sizeof(BufferObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
                           buffer_slots};

}  // namespace

PyObject* wrap_buffer(Buffer buffer) {
    try {
        Actor* actor = this_actor();
        const std::size_t size = buffer.size();
        Ref<BufferAccount> account = actor ? actor->buffer_account() : nullptr;
        return wrap_holder(make_shared_ref<BufferHolder>(std::move(buffer), std::move(account)), 0, size);
    } catch (const std::bad_alloc&) {
        return PyErr_NoMemory();
    }
}

PyObject* wrap_slice(BufferObject& whole, std::size_t offset, std::size_t size) {
    const Buffer& buffer = whole.holder->buffer();
    if (!buffer.frozen()) return wrap_holder(Ref<BufferHolder>::share(whole.holder), whole.offset + offset, size);
    Buffer part = buffer.share();
    part.narrow(whole.offset + offset, size);
    return wrap_buffer(std::move(part));
}

Ref<BufferMemory> allocate_buffer(std::size_t bytes, std::size_t alignment, BufferMemory::Contents contents) {
    bool over_limit = false;
    auto memory = BufferMemory::allocate(bytes, alignment, contents, &over_limit);
    if (over_limit) raise_buffer_limit(bytes);
    else if (!memory) PyErr_Format(PyExc_MemoryError, "there is no memory for a smarm.Buffer of %zu bytes", bytes);
    return memory;
}

Buffer* usable(BufferObject& self) {
    if (__builtin_expect(!self.holder->moved(), 1)) return &self.holder->buffer();
    raise_error("BufferMoved", "this smarm.Buffer was sent, moved or split: only its new owner can use it");
    return nullptr;
}

bool is_only_user(BufferObject& self, const char* purpose) {
    const Buffer* buffer = usable(self);
    // It can run code, so it comes before the others are counted.
    if (!buffer || !is_sole(buffer->memory()) || !usable(self)) return false;
    const std::uint32_t others = self.holder->users() - 1;
    if (others == 0) return true;
    PyErr_Format(PyExc_BufferError,
                 "%u view%s of this smarm.Buffer (memoryviews, arrays, slices) %s alive: release %s before you %s",
                 others, others == 1 ? "" : "s", others == 1 ? "is" : "are", others == 1 ? "it" : "them", purpose);
    return false;
}

Buffer take_buffer(BufferObject& self, const char* purpose) {
    if (!is_only_user(self, purpose)) return {};
    Buffer taken = self.holder->take();
    taken.narrow(self.offset, self.size);
    self.offset = 0;
    return taken;
}

bool add_buffer_type(PyObject* module, InterpreterState& state) {
    PyTypeObject*& type = native_type(state, NativeTypeIndex::buffer);
    type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&buffer_spec));
    if (!type || PyModule_AddType(module, type) != 0) return false;
    codec_of(state).add_native_type({NativeId::buffer, type, buffer_share, buffer_wrap, buffer_is_shared});
    return true;
}

}  // namespace smarm::bind
