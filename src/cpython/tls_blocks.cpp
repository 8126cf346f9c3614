#include "smarm/cpython/tls_blocks.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <new>
#include <string_view>
#include <utility>

#include <link.h>

#include "cpython/loaded_objects.h"
#include "cpython/thread_bound_code.h"
#include "smarm/base/sanitizer.h"

// What the compiler calls for a thread_local variable of a library, public in the ABI of x86-64 (ELF Handling for
// Thread-Local Storage).
extern "C" void* __tls_get_addr(void*);

namespace smarm {

atomic<std::size_t> tls_object_count{0};

namespace {

constexpr std::size_t kMostBytes = 4096;
constexpr std::string_view kMark = "__pybind11_internals_v";      // a name in every module of pybind11
constexpr std::string_view kDestructors = "__cxa_thread_atexit";  // what registers a destructor
constexpr std::size_t kMostObjects = 1024;

struct TlsObject {
    std::size_t module;  // the loader's number
    const std::byte* initial;
    std::size_t initial_bytes;
    std::size_t bytes;
};

std::mutex objects_lock;  // of changes
// Loader's numbers of the objects that have been looked at. Never destroyed: workers that are left behind may still
// import at exit.
auto& known = *new std::vector<std::size_t>;
TlsObject objects[kMostObjects];  // those below tls_object_count do not change
unsigned long long loads_looked_at = 0;

#if defined(SMARM_ADDRESS_SANITIZER)
// In a library that it has built, too, whose zones between variables are bytes of the file.
[[gnu::no_sanitize_address]] bool contains(std::string_view text, std::string_view part) {
    const char* begin = text.data();
    for (const char* at = begin; at + part.size() <= begin + text.size(); ++at) {
        std::size_t same = 0;
        while (same < part.size() && at[same] == part[same]) ++same;
        if (same == part.size()) return true;
    }
    return false;
}
#else
bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }
#endif

bool may_ride(const dl_phdr_info& object, const ElfW(Phdr) & storage) {
    if (storage.p_memsz > kMostBytes) return false;
    bool marked = false;
    for (int i = 0; i < object.dlpi_phnum; ++i) {
        // SAFETY: a loaded segment that is readable and not writable, as the file has it.
        const ElfW(Phdr) & part = object.dlpi_phdr[i];
        if (part.p_type != PT_LOAD || !(part.p_flags & PF_R) || part.p_flags & PF_W) continue;
        const std::string_view text(reinterpret_cast<const char*>(object.dlpi_addr + part.p_vaddr), part.p_filesz);
        if (contains(text, kDestructors)) return false;
        marked = marked || contains(text, kMark);
    }
    return marked;
}

int look_at(dl_phdr_info* object, std::size_t, void*) {
    const ElfW(Phdr)* storage = nullptr;
    const auto own = reinterpret_cast<std::uintptr_t>(&look_at);
    for (int i = 0; i < object->dlpi_phnum; ++i) {
        const ElfW(Phdr) & part = object->dlpi_phdr[i];
        if (part.p_type == PT_TLS) storage = &part;
        const std::uintptr_t start = object->dlpi_addr + part.p_vaddr;
        if (part.p_type == PT_LOAD && own >= start && own - start < part.p_memsz) return 0;
    }
    if (!storage || storage->p_memsz == 0 || std::ranges::find(known, object->dlpi_tls_modid) != known.end()) return 0;
    try {
        known.push_back(object->dlpi_tls_modid);
    } catch (const std::bad_alloc&) {
        return 0;
    }
    if (binds_no_thread(*object)) return 0;  // before megabytes of libpython are searched
    const std::size_t count = tls_object_count.load(memory_order_relaxed);
    if (count == kMostObjects || !may_ride(*object, *storage)) {
        note_thread_bound(*object);
        return 0;
    }
    objects[count] = {object->dlpi_tls_modid, reinterpret_cast<const std::byte*>(object->dlpi_addr + storage->p_vaddr),
                      storage->p_filesz, storage->p_memsz};
    // Release pairs with the acquire in meet_objects().
    tls_object_count.store(count + 1, memory_order_release);
    return 0;
}

}  // namespace

void find_tls_objects() noexcept {
    std::lock_guard guard(objects_lock);
    const unsigned long long loads = count_loads();
    if (std::exchange(loads_looked_at, loads) != loads) dl_iterate_phdr(look_at, nullptr);
}

void TlsBlocks::meet_objects() {
    const std::size_t count = tls_object_count.load(memory_order_acquire);
    while (blocks_.size() < count) {
        const TlsObject& object = objects[blocks_.size()];
        std::size_t index[2] = {object.module, 0};  // tls_index of the ABI; the call allocates the variables if need be
        blocks_.push_back(
            {static_cast<std::byte*>(__tls_get_addr(index)), object.initial, object.initial_bytes, object.bytes});
        bytes_ += object.bytes;
    }
}

bool TlsBlocks::is_initial() const noexcept {
    return std::all_of(blocks_.begin(), blocks_.end(), [](const Block& block) {
        return std::memcmp(block.variables, block.initial, block.initial_bytes) == 0 &&
               std::all_of(block.variables + block.initial_bytes, block.variables + block.bytes,
                           [](std::byte byte) { return byte == std::byte{0}; });
    });
}

void TlsBlocks::set_aside(const void* flow) {
    Aside& aside = aside_[flow];
    aside.resize(bytes_);
    std::byte* to = aside.data();
    for (const Block& block : blocks_) to = std::copy(block.variables, block.variables + block.bytes, to);
}

void TlsBlocks::put_back(const Aside* aside) noexcept {
    std::size_t offset = 0;
    for (const Block& block : blocks_) {
        if (aside && offset + block.bytes <= aside->size()) {
            std::memcpy(block.variables, aside->data() + offset, block.bytes);
        } else {
            std::memcpy(block.variables, block.initial, block.initial_bytes);
            std::memset(block.variables + block.initial_bytes, 0, block.bytes - block.initial_bytes);
        }
        offset += block.bytes;
    }
}

void TlsBlocks::ride(const void* from, const void* to) noexcept {
    if (from == to) return;
    try {
        meet_objects();
        if (is_initial()) aside_.erase(from);
        else set_aside(from);
    } catch (const std::bad_alloc&) {
        return;
    }
    const auto found = aside_.find(to);
    put_back(found == aside_.end() ? nullptr : &found->second);
}

}  // namespace smarm
