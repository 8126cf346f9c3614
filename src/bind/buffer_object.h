// buffer_object.h: smarm.Buffer: the Python object around a BufferHolder (msg/buffer.h).
//
// What:    a handle on a range of a buffer. Slices of a mutable buffer share its holder; slices of a frozen one have
//          their own. Every object, and every view exported from one, is a user of the holder.
// States:  usable -> moved (sent, moved, split): every use raises BufferMoved. A frozen buffer is never moved.
// Threads: attached. Nothing here parks; getting a view of another object can run that object's code.
#pragma once

#include <Python.h>

#include "smarm/interp/interpreter_state.h"
#include "smarm/msg/buffer.h"

namespace smarm::bind {

struct BufferObject {
    PyObject_HEAD BufferHolder* holder;  // owned reference
    std::size_t offset;                  // the object's part of the holder's buffer
    std::size_t size;
    Py_hash_t hash;  // -1: not asked for yet
    PyObject* weak_references;
};

inline BufferObject& as_buffer(PyObject* self) { return *reinterpret_cast<BufferObject*>(self); }

inline constexpr std::size_t kDefaultAlignment = 64;

// Returns a new object that owns the buffer, in the account of the running actor; nullptr with MemoryError set.
PyObject* wrap_buffer(Buffer buffer);
// Returns a slice that lives in the same holder.
PyObject* wrap_slice(BufferObject& whole, std::size_t offset, std::size_t size);
// As BufferMemory::allocate, with MemoryError set.
Ref<BufferMemory> allocate_buffer(std::size_t bytes, std::size_t alignment, BufferMemory::Contents contents);

// Returns the object's buffer, or nullptr with BufferMoved set.
Buffer* usable(BufferObject& self);
inline std::byte* bytes_of(BufferObject& self) { return self.holder->buffer().data() + self.offset; }

// Takes the object's part of the buffer out, for a new owner; `purpose` ends "close them before you ...". Empty with
// BufferMoved, or BufferError when somebody else can reach the bytes. Must not be frozen.
Buffer take_buffer(BufferObject& self, const char* purpose);
// The same without taking it: whether the bytes are this object's alone.
bool is_only_user(BufferObject& self, const char* purpose);

// A view of somebody else's bytes for the time of a call.
class View {
public:
    View() = default;
    ~View() {
        if (view_.obj) PyBuffer_Release(&view_);
    }
    View(const View&) = delete;
    View& operator=(const View&) = delete;
    bool get(PyObject* object, int flags) { return PyObject_GetBuffer(object, &view_, flags) == 0; }
    std::size_t size() const { return static_cast<std::size_t>(view_.len); }
    const void* data() const { return view_.buf; }
    Py_buffer& raw() { return view_; }

private:
    Py_buffer view_{};
};

// buffer_sources.cpp: how buffers are made.
PyObject* new_buffer(PyTypeObject* type, PyObject* arguments, PyObject* keywords);
extern PyMethodDef buffer_methods[];  // buffer_methods.cpp
PyObject* buffer_from_array(PyObject* type, PyObject* array);
PyObject* buffer_from_file(PyObject* type, PyObject* arguments, PyObject* keywords);
PyObject* buffer_mmap(PyObject* type, PyObject* arguments, PyObject* keywords);

// buffer_dlpack.cpp
PyObject* buffer_dlpack(PyObject* self, PyObject* arguments, PyObject* keywords);
PyObject* buffer_dlpack_device(PyObject* self, PyObject*);

// Makes smarm.Buffer, adds it to the module and makes it sendable. False with an exception set.
bool add_buffer_type(PyObject* module, InterpreterState& state);

}  // namespace smarm::bind
