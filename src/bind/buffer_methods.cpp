// What a buffer can do: freeze, move, split.
#include "bind/buffer_object.h"
#include "interp/method_table.h"
#include "smarm/interp/errors.h"

namespace smarm::bind {
namespace {

// A second buffer of the object's part; must be frozen.
Buffer share_part(BufferObject& self) {
    Buffer part = self.holder->buffer().share();
    part.narrow(self.offset, self.size);
    return part;
}

PyObject* buffer_freeze(PyObject* self, PyObject*) {
    BufferObject& object = as_buffer(self);
    const Buffer* buffer = usable(object);
    if (!buffer) return nullptr;
    if (!buffer->frozen()) {
        if (!is_only_user(object, "freeze it")) return nullptr;
        object.holder->buffer().freeze();
    }
    return Py_NewRef(self);
}

PyObject* buffer_move(PyObject* self, PyObject*) {
    BufferObject& object = as_buffer(self);
    const Buffer* buffer = usable(object);
    if (!buffer) return nullptr;
    if (buffer->frozen()) return wrap_buffer(share_part(object));
    Buffer taken = take_buffer(object, "move it");
    return taken ? wrap_buffer(std::move(taken)) : nullptr;
}

PyObject* buffer_split_at(PyObject* self, PyObject* position) {
    const Py_ssize_t at = PyNumber_AsSsize_t(position, PyExc_IndexError);
    if (at == -1 && PyErr_Occurred()) return nullptr;
    BufferObject& object = as_buffer(self);
    const Buffer* buffer = usable(object);
    if (!buffer) return nullptr;
    if (at < 0 || static_cast<std::size_t>(at) > object.size) {
        return PyErr_Format(PyExc_IndexError, "a smarm.Buffer of %zu bytes cannot be split at %zd", object.size, at);
    }
    Buffer first = buffer->frozen() ? share_part(object) : take_buffer(object, "split it");
    if (!first) return nullptr;
    Buffer second = first.split_off(static_cast<std::size_t>(at));
    PyObject* left = wrap_buffer(std::move(first));
    PyObject* right = left ? wrap_buffer(std::move(second)) : nullptr;
    PyObject* both = right ? PyTuple_Pack(2, left, right) : nullptr;
    Py_XDECREF(left);
    Py_XDECREF(right);
    return both;
}

PyObject* buffer_reduce(PyObject*, PyObject*) {
    PyErr_SetString(PyExc_TypeError,
                    "a smarm.Buffer cannot be pickled or copied: take bytes(buffer), or smarm.Buffer(buffer)");
    return nullptr;
}

}  // namespace

PyMethodDef buffer_methods[] = {
    {"freeze", buffer_freeze, METH_NOARGS,
     "freeze($self, /)\n--\n\nMake it immutable and hashable for good, and return it.\n\nA frozen buffer is shared by "
     "everyone it is sent to, without a copy.  Raises BufferError while a view of it is alive, BufferMoved."},
    {"move", buffer_move, METH_NOARGS,
     "move($self, /)\n--\n\nReturn a new Buffer with these bytes; this one is moved from then on.\n\nOf a frozen "
     "buffer "
     "both stay usable.  Raises BufferError while a view of it is alive, BufferMoved."},
    {"split_at", buffer_split_at, METH_O,
     "split_at($self, position, /)\n--\n\nReturn two Buffers, of the bytes before position and from there on; this one "
     "is "
     "moved.\n\nNothing is copied: they lie in the same memory, and are sent and freed each for itself.  Of a frozen "
     "buffer all three stay usable.\nRaises IndexError, BufferError while a view of it is alive, BufferMoved."},
    {"from_array", buffer_from_array, METH_O | METH_CLASS,
     "from_array($type, array, /)\n--\n\nReturn a Buffer over the memory of a writable, contiguous array, without a "
     "copy "
     "on the main lane.\n\nSending it needs an array (numpy.ndarray, bytearray, array.array) that nothing else refers "
     "to, "
     "or raises BufferError.  On other\nworkers the array is copied, because their interpreters may end first.  Raises "
     "TypeError, BufferError."},
    {"from_file", SMARM_KEYWORD_METHOD(buffer_from_file) | METH_CLASS,
     "from_file($type, file, /, *, offset=0, size=None, align=64)\n--\n\nRead a file (path or descriptor) into a new "
     "Buffer.\n\nReads size bytes from offset on, or up to the end; less when the file ends before.  Blocks the "
     "worker: "
     "block_on_io(Buffer.from_file,\npath) does not.  Raises OSError, ValueError, MemoryError."},
    {"mmap", SMARM_KEYWORD_METHOD(buffer_mmap) | METH_CLASS,
     "mmap($type, file, /, *, offset=0, size=None, access='read')\n--\n\nReturn a Buffer of the pages of a file (path "
     "or "
     "descriptor), which are read when they are touched.\n\naccess is 'read' (a frozen buffer), 'write' (changes go to "
     "the "
     "file) or 'copy' (changes stay here).  The file must not become shorter\nmeanwhile: touching what is gone ends "
     "the "
     "process by SIGBUS.  Raises OSError, ValueError."},
    {"__dlpack__", SMARM_KEYWORD_METHOD(buffer_dlpack),
     "__dlpack__($self, /, *, stream=None, max_version=None, dl_device=None, copy=None)\n--\n\nExport the bytes as a "
     "one-dimensional DLPack tensor of uint8."},
    {"__dlpack_device__", buffer_dlpack_device, METH_NOARGS,
     "__dlpack_device__($self, /)\n--\n\nReturn the DLPack device of the bytes: (1, 0), the CPU."},
    {"__reduce__", buffer_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace smarm::bind
