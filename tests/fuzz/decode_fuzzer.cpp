// Coverage-guided fuzzing of the decoder: ./dev fuzz
//
// What:    every input is the bytes of a parcel with a few attachments. The lowest bits of its first byte say which objects are
//          allowed: none, any, data. Nothing may crash, read beyond the parcel (its unused room is poisoned), or, without objects, allocate
//          more than kBytesPerByte for each byte of the input. What was decoded must encode and decode again.
// Objects: importing is cut off but for the module below, so that inputs cannot name what does harm.
#include <Python.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sanitizer/asan_interface.h>

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
import copyreg, datetime, decimal, enum, fractions, gc, http, sys, types, uuid, warnings, zoneinfo
import smarm, smarm._errors
warnings.simplefilter("ignore")
m = types.ModuleType("m")
m.enum = enum
exec('''
class Node: pass
class Slots: __slots__ = ("a", "b")
class Stated:
    def __setstate__(self, state): self.state = state
class Rows(list): pass
class Table(dict): pass
class Failure(Exception):
    def __init__(self, first, second): self.first = first
class Pair(tuple): pass
class Colour(enum.Enum): RED = 1
class Bits(enum.Flag): A = 1; B = 2
del enum
def make(*arguments): return arguments
def set_state(target, state): target.state = state
''', m.__dict__)
for value in list(vars(m).values()):
    if isinstance(value, (type, types.FunctionType)): value.__module__ = "m"
# Of the standard library some classes only: modules lead everywhere.
def part(module, *names):
    some = types.ModuleType(module.__name__)
    for name in names: setattr(some, name, getattr(module, name))
    return some
kept = {
    "m": m,
    "datetime": part(datetime, "date", "datetime", "time", "timedelta", "timezone"),
    "decimal": part(decimal, "Decimal"),
    "enum": part(enum, "EnumType"),
    "fractions": part(fractions, "Fraction"),
    "http": part(http, "HTTPStatus"),
    "uuid": part(uuid, "UUID", "SafeUUID"),
    "zoneinfo": part(zoneinfo, "ZoneInfo"),
} | {name: sys.modules[name] for name in ("copyreg", "smarm", "smarm._errors", "smarm._core")}
sys.modules.clear()
sys.modules.update(kept)
sys.meta_path.clear()
sys.path_hooks.clear()
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
    asked_for = 0;
    if (!objects) allowed = kFixedBytes + size * kBytesPerByte;
    PyObject* value = codec.decode(*parcel);
    allowed = SIZE_MAX;
    if (!value) {
        PyErr_Clear();
        return;
    }
    if (!objects) decode_again(codec, value);
    Py_DECREF(value);
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
    return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    constexpr Objects kinds[] = {Objects::none, Objects::any, Objects::data, Objects::any};
    decode(data + 1, size - 1, kinds[data[0] & 3]);
    return 0;
}
