// DLPack (github.com/dmlc/dlpack, version 1): a buffer as a tensor that array libraries take without a copy.
#include <cstdlib>
#include <cstring>

#include "bind/buffer_object.h"

namespace smarm::bind {
namespace {

// The layouts are DLPack's.
struct Device {
    std::int32_t kind;
    std::int32_t index;
};
struct DataType {
    std::uint8_t code;
    std::uint8_t bits;
    std::uint16_t lanes;
};
struct Tensor {
    void* data;
    Device device;
    std::int32_t dimensions;
    DataType type;
    std::int64_t* shape;
    std::int64_t* strides;
    std::uint64_t byte_offset;
};
struct ManagedTensor {
    Tensor tensor;
    void* context;
    void (*deleter)(ManagedTensor* self);
};
struct VersionedTensor {
    std::uint32_t major, minor;
    void* context;
    void (*deleter)(VersionedTensor* self);
    std::uint64_t flags;
    Tensor tensor;
};
constexpr std::int32_t kCpu = 1;
constexpr std::uint8_t kUnsigned = 1;
constexpr std::uint64_t kReadOnly = 1;
constexpr std::uint64_t kCopied = 2;

constexpr const char* kName = "dltensor";
constexpr const char* kVersionedName = "dltensor_versioned";

// What a tensor consists of, in one block.
template <class Managed>
struct Export {
    Managed managed;
    std::int64_t shape;
    std::int64_t stride;
    BufferHolder* holder;  // owned reference, and a user
};

// Called by whoever took the tensor, on any thread, attached or not.
template <class Managed>
void delete_export(Managed* managed) {
    auto* it = static_cast<Export<Managed>*>(managed->context);
    it->holder->drop_user();
    it->holder->drop_reference();
    std::free(it);
}

// A capsule that nobody took still has its first name.
template <class Managed>
void destroy_capsule(PyObject* capsule) {
    const char* name = PyCapsule_GetName(capsule);
    if (!name || (std::strcmp(name, kName) != 0 && std::strcmp(name, kVersionedName) != 0)) return;
    auto* managed = static_cast<Managed*>(PyCapsule_GetPointer(capsule, name));
    managed->deleter(managed);
}

template <class Managed>
Export<Managed>* make_export(BufferObject& self) {
    auto* it = static_cast<Export<Managed>*>(std::calloc(1, sizeof(Export<Managed>)));
    if (!it) return nullptr;
    it->shape = static_cast<std::int64_t>(self.size);
    it->stride = 1;
    it->holder = self.holder;
    self.holder->add_user();
    self.holder->add_reference();
    it->managed.context = it;
    it->managed.deleter = delete_export<Managed>;
    it->managed.tensor = {bytes_of(self), {kCpu, 0}, 1, {kUnsigned, 8, 1}, &it->shape, &it->stride, 0};
    return it;
}

template <class Managed>
PyObject* wrap_export(Export<Managed>* it, const char* name) {
    if (!it) return PyErr_NoMemory();
    PyObject* capsule = PyCapsule_New(&it->managed, name, destroy_capsule<Managed>);
    if (!capsule) delete_export(&it->managed);
    return capsule;
}

// 1: yes, 0: no, -1: an exception is set.
int wants_versions(PyObject* max_version) {
    if (max_version == Py_None) return 0;
    if (!PyTuple_Check(max_version) || PyTuple_GET_SIZE(max_version) != 2) {
        PyErr_SetString(PyExc_TypeError, "max_version is None or a tuple (major, minor)");
        return -1;
    }
    const long major = PyLong_AsLong(PyTuple_GET_ITEM(max_version, 0));
    if (major == -1 && PyErr_Occurred()) return -1;
    return major >= 1;
}

bool is_cpu(PyObject* device) {
    if (device == Py_None) return true;
    int kind = 0;
    int index = 0;
    if (!PyTuple_Check(device) || !PyArg_ParseTuple(device, "ii", &kind, &index)) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_TypeError, "dl_device is None or a tuple (type, index)");
        return false;
    }
    if (kind == kCpu && index == 0) return true;
    PyErr_SetString(PyExc_BufferError, "a smarm.Buffer is in the CPU's memory only");
    return false;
}

// A copy that the caller owns: a buffer that nobody else refers to, or a new reference to `self`. nullptr: exception.
PyObject* copy_if(bool copy, PyObject* self) {
    if (!copy) return Py_NewRef(self);
    return PyObject_CallOneArg(reinterpret_cast<PyObject*>(Py_TYPE(self)), self);
}

}  // namespace

PyObject* buffer_dlpack(PyObject* self, PyObject* arguments, PyObject* keywords) {
    static const char* const names[] = {"stream", "max_version", "dl_device", "copy", nullptr};
    PyObject* stream = Py_None;
    PyObject* max_version = Py_None;
    PyObject* device = Py_None;
    PyObject* copy = Py_None;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "|$OOOO:__dlpack__", const_cast<char**>(names), &stream,
                                     &max_version, &device, &copy)) {
        return nullptr;
    }
    const int versions = wants_versions(max_version);
    if (versions < 0 || !is_cpu(device)) return nullptr;
    if (stream != Py_None) {
        PyErr_SetString(PyExc_BufferError, "a smarm.Buffer is in the CPU's memory, which has no streams");
        return nullptr;
    }
    PyObject* exported = usable(as_buffer(self)) ? copy_if(copy == Py_True, self) : nullptr;
    if (!exported) return nullptr;
    BufferObject& object = as_buffer(exported);
    const bool frozen = object.holder->buffer().frozen();
    PyObject* capsule = nullptr;
    if (versions) {
        auto* it = make_export<VersionedTensor>(object);
        if (it) {
            it->managed.major = 1;
            it->managed.flags = (frozen ? kReadOnly : 0) | (copy == Py_True ? kCopied : 0);
        }
        capsule = wrap_export(it, kVersionedName);
    } else if (frozen) {
        PyErr_SetString(PyExc_BufferError,
                        "a frozen smarm.Buffer needs a reader of DLPack 1.0, which knows read-only tensors");
    } else {
        capsule = wrap_export(make_export<ManagedTensor>(object), kName);
    }
    Py_DECREF(exported);
    return capsule;
}

PyObject* buffer_dlpack_device(PyObject* self, PyObject*) {
    return usable(as_buffer(self)) ? Py_BuildValue("(ii)", kCpu, 0) : nullptr;
}

}  // namespace smarm::bind
