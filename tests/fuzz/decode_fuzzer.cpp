// Coverage-guided fuzzing of the decoder: ./dev fuzz
//
// What:    every input is the bytes of a parcel with a few attachments. The lowest bits of its first byte say which
//          objects are allowed: none, any, data. Nothing may crash, read beyond the parcel (its unused room is
//          poisoned), or, without objects, allocate more than kBytesPerByte for each byte of the input. What was
//          decoded must encode and decode again.
// Objects: world.py has what inputs can name. Importing is cut off; with `any` only modules that do no harm are there.
// Data:    all modules are there. No Python function may start (sys.monitoring), nothing be imported, opened, executed
//          or started (audit events), no class change (its version) and no value that existed before.
#include <Python.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sanitizer/asan_interface.h>
#include <string_view>
#include <vector>

#include "host/builtin_core.h"
#include "smarm/codec/codec.h"
#include "smarm/interp/interpreter_state.h"
#include "smarm/msg/buffer.h"
#include "smarm/wait/channel.h"

namespace {

using namespace smarm;

constexpr std::size_t kBytesPerByte = 600;  // an empty set announced in two bytes takes the most
constexpr std::size_t kFixedBytes = 1 << 20;

constexpr const char* kPrelude = R"(
import world
world.close()
)";

// What one decode may ask Python's allocators for, counted without what it gives back.
std::size_t asked_for = 0;
std::size_t allowed = SIZE_MAX;

void count(std::size_t bytes) {
    asked_for += bytes;
    if (asked_for <= allowed) return;
    std::fprintf(stderr, "the decoder allocated %zu bytes, %zu were allowed\n", asked_for, allowed);
    std::abort();
}

struct Counted {
    PyMemAllocatorEx next;
    static void* malloc(void* self, size_t bytes) {
        count(bytes);
        auto& it = static_cast<Counted*>(self)->next;
        return it.malloc(it.ctx, bytes);
    }
    static void* calloc(void* self, size_t items, size_t bytes) {
        count(items * bytes);
        auto& it = static_cast<Counted*>(self)->next;
        return it.calloc(it.ctx, items, bytes);
    }
    static void* realloc(void* self, void* block, size_t bytes) {
        count(bytes);
        auto& it = static_cast<Counted*>(self)->next;
        return it.realloc(it.ctx, block, bytes);
    }
    static void free(void* self, void* block) {
        auto& it = static_cast<Counted*>(self)->next;
        it.free(it.ctx, block);
    }
    void install(PyMemAllocatorDomain domain) {
        PyMem_GetAllocator(domain, &next);
        PyMemAllocatorEx ours = {this, malloc, calloc, realloc, free};
        PyMem_SetAllocator(domain, &ours);
    }
};

struct Unpoison {
    const std::byte* from;
    std::size_t bytes;
    ~Unpoison() { __asan_unpoison_memory_region(from, bytes); }
};

void attach_samples(ParcelBuilder& builder) {
    auto memory = [] { return BufferMemory::allocate(10, 64, BufferMemory::Contents::zero); };
    builder.attach(make_shared_ref<BufferCargo>(Buffer(memory()), nullptr));
    builder.attach(make_shared_ref<FrozenBuffer>(Buffer(memory(), true)));
    builder.attach(make_shared_ref<BufferAccount>());  // of no type that a message may have
}

// Sees whether anything of Python's runs. `what` is about to.
bool watching = false;

void found(const char* what, PyObject* object) {
    std::fprintf(stderr, "a message ran code: %s ", what);
    watching = false;
    if (object) PyObject_Print(object, stderr, 0);
    std::fputc('\n', stderr);
    std::abort();
}

PyObject* started(PyObject* may_run, PyObject* const* arguments, Py_ssize_t) {
    if (!watching || PySet_Contains(may_run, arguments[0]) == 1) Py_RETURN_NONE;
    auto* code = reinterpret_cast<PyCodeObject*>(arguments[0]);
    // A zone that is not in zoneinfo's cache is looked for where this process has none.
    for (const char* file : {"zoneinfo", "weakref", "importlib"}) {
        if (std::strstr(PyUnicode_AsUTF8(code->co_filename), file)) Py_RETURN_NONE;
    }
    found("the function", arguments[0]);
    Py_RETURN_NONE;
}

int audited(const char* event, PyObject* arguments, void*) {
    if (!watching || std::strncmp(event, "sys.monitoring", 14) == 0) return 0;
    const bool of_zone = std::strcmp(event, "import") == 0 &&
                         std::strncmp(PyUnicode_AsUTF8(PyTuple_GET_ITEM(arguments, 0)), "tzdata", 6) == 0;
    if (!of_zone && std::strcmp(event, "sys._getframe") != 0) found(event, arguments);
    return 0;
}

PyObject* world = nullptr;  // the module world.py

// Calls one of its functions; never fails.
PyObject* of_world(const char* name) {
    PyObject* result = PyObject_CallMethod(world, name, nullptr);
    if (!result) {
        PyErr_Print();
        std::abort();
    }
    return result;
}

// What may not change: the versions of classes, and the values of some objects.
class Existing {
public:
    void note() {
        Py_XDECREF(types_);
        Py_XDECREF(values_);
        versions_.clear();
        types_ = of_world("watched_types");
        values_ = of_world("watched_values");
        for (Py_ssize_t index = 0; index < PyList_GET_SIZE(types_); ++index) {
            PyUnstable_Type_AssignVersionTag(type(index));
            versions_.push_back(type(index)->tp_version_tag);
        }
    }
    void check() {
        for (Py_ssize_t index = 0; index < PyList_GET_SIZE(types_); ++index) {
            if (type(index)->tp_version_tag != versions_[static_cast<std::size_t>(index)])
                found("a class changed", PyList_GET_ITEM(types_, index));
        }
        if (++checks_ % 16) return;
        PyObject* now = of_world("watched_values");
        if (PyObject_RichCompareBool(now, values_, Py_EQ) != 1) found("a value changed", now);
        Py_DECREF(now);
    }

private:
    PyTypeObject* type(Py_ssize_t index) { return reinterpret_cast<PyTypeObject*>(PyList_GET_ITEM(types_, index)); }

    PyObject* types_ = nullptr;
    PyObject* values_ = nullptr;
    std::vector<unsigned> versions_;
    unsigned checks_ = 0;
} existing;

void watch() {
    static PyMethodDef definition = {"started", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(started)),
                                     METH_FASTCALL, nullptr};
    PyObject* callback = PyCFunction_New(&definition, of_world("may_run"));
    if (!callback || PyObject_SetAttrString(world, "started", callback) < 0 || PySys_AddAuditHook(audited, nullptr) < 0)
        std::abort();
    Py_DECREF(of_world("watch"));
}

// Chooses the modules that there are.
void allow_modules(Objects objects) {
    static Objects now = Objects::none;
    if (now == objects) return;
    now = objects;
    Py_DECREF(of_world(objects == Objects::data ? "allow_all" : "allow_some"));
    existing.note();  // what pickle's protocol has changed meanwhile is no finding
}

// DecodeError, memory, or a buffer that the message names twice.
bool is_refusal(PyObject* error) {
    const std::string_view name = Py_TYPE(error)->tp_name;
    return name == "DecodeError" || name == "BufferMoved" || PyErr_GivenExceptionMatches(error, PyExc_MemoryError);
}

void check_existing(PyObject* value) {
    PyObject* error = PyErr_GetRaisedException();
    if (!value && !is_refusal(error)) found("it raised", error);
    existing.check();
    PyErr_SetRaisedException(error);
}

void decode_again(Codec& codec, PyObject* value) {
    OwnedParcel parcel = codec.encode(value, "value");
    if (!parcel) {
        PyErr_Clear();  // deeper than the limit, or changed by its own objects
        return;
    }
    PyObject* again = codec.decode(*parcel);
    if (!again) {
        PyErr_Print();
        std::fputs("what the encoder wrote cannot be decoded\n", stderr);
        std::abort();
    }
    Py_DECREF(again);
}

void decode(const std::uint8_t* data, std::size_t size, Objects allowed_objects) {
    const bool objects = allowed_objects != Objects::none;
    Codec& codec = codec_of(*interpreter_state());
    codec.set_limits({.objects = allowed_objects});
    ParcelBuilder builder;
    attach_samples(builder);
    // An append beyond the block's first size gives it exactly this size; smaller ones are poisoned up to that.
    constexpr std::size_t kFirstRoom = 112;
    std::memcpy(builder.append(size), data, size);
    OwnedParcel parcel = builder.finish();
    const std::size_t unused = size < kFirstRoom ? kFirstRoom - size : 0;
    __asan_poison_memory_region(parcel->data() + size, unused);
    Unpoison unpoison{parcel->data() + size, unused};
    const bool data_only = allowed_objects == Objects::data;
    if (objects) allow_modules(allowed_objects);
    asked_for = 0;
    if (!objects) allowed = kFixedBytes + size * kBytesPerByte;
    watching = data_only;
    PyObject* value = codec.decode(*parcel);
    watching = false;
    allowed = SIZE_MAX;
    if (data_only) check_existing(value);
    if (!value) {
        PyErr_Clear();
        return;
    }
    if (allowed_objects != Objects::any) decode_again(codec, value);
    watching = data_only;
    Py_DECREF(value);
    watching = false;
    PyErr_Clear();
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
    static Counted domains[3];
    host::register_core();
    PyPreConfig before;
    PyPreConfig_InitPythonConfig(&before);
    before.allocator = PYMEM_ALLOCATOR_MALLOC;  // so that the address sanitizer sees each object
    Py_PreInitialize(&before);
    domains[0].install(PYMEM_DOMAIN_RAW);
    domains[1].install(PYMEM_DOMAIN_MEM);
    domains[2].install(PYMEM_DOMAIN_OBJ);
    Py_Initialize();
    if (PyRun_SimpleString(kPrelude) != 0) std::abort();
    world = Py_NewRef(PyImport_AddModule("world"));
    watch();
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    constexpr Objects kinds[] = {Objects::none, Objects::any, Objects::data, Objects::any};
    decode(data + 1, size - 1, kinds[data[0] & 3]);
    return 0;
}
