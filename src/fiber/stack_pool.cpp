#include "smarm/fiber/stack_pool.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <iterator>
#include <map>
#include <new>
#include <utility>
#include <vector>

#include <emmintrin.h>
#include <sys/mman.h>

#include "slab.h"
#include "smarm/base/assert.h"
#include "smarm/base/sync.h"
#include "valgrind.h"

namespace smarm {
namespace {

constexpr std::size_t kMinSlotBytes = 256 * 1024;
constexpr std::size_t kMostSlabBytes = 1024 * 1024 * 1024;
constexpr int kSmallestShift = std::countr_zero(kMinSlotBytes);
constexpr std::size_t kClasses = static_cast<std::size_t>(std::countr_zero(kMaxStackBytes) - kSmallestShift) + 1;
// The ABI lets a leaf function use this much below the stack pointer.
constexpr std::size_t kRedZoneBytes = 128;

std::size_t class_index(std::size_t slot_bytes) noexcept {
    return static_cast<std::size_t>(std::countr_zero(slot_bytes) - kSmallestShift);
}

std::byte* page_floor(const void* address) noexcept {
    return reinterpret_cast<std::byte*>(reinterpret_cast<std::uintptr_t>(address) & ~(kPageBytes - 1));
}

// Gives the pages from `from` to `to` back; they read as zeroes from then on.
void drop_pages(std::byte* from, std::byte* to) noexcept {
    if (from < to) madvise(from, static_cast<std::size_t>(to - from), MADV_DONTNEED);
}

// The page whose use shows that a flow ran deeper than deep_bytes, or nullptr when the stack is not that large.
std::byte* deep_page(const Stack& stack, std::size_t deep_bytes) noexcept {
    if (deep_bytes + 2 * kPageBytes > stack.usable_bytes()) return nullptr;
    return page_floor(stack.top() - deep_bytes) - kPageBytes;
}

// Returns whether anything but zeroes was left in `page`. Asking the kernel (mincore) was measured at 1.2 us a time,
// this at 0.06 us. Reading an untouched page maps the kernel's shared page of zeroes, which takes no memory.
// SAFETY: these are remains of dead frames, so nobody else accesses them, and they may lie in ASan's red zones.
[[gnu::no_sanitize_address]] bool touched(const std::byte* page) noexcept {
    const auto* words = reinterpret_cast<const __m128i*>(page);
    __m128i even = _mm_setzero_si128(), odd = even;
    for (std::size_t i = 0; i < kPageBytes / sizeof *words; i += 2) {
        even = _mm_or_si128(even, words[i]);
        odd = _mm_or_si128(odd, words[i + 1]);
    }
    __m128i zero_bytes = _mm_cmpeq_epi8(_mm_or_si128(even, odd), _mm_setzero_si128());
    return _mm_movemask_epi8(zero_bytes) != 0xffff;
}

}  // namespace

struct StackPool::Impl {
    // Slots of one size.
    struct SizeClass {
        std::vector<std::byte*> warm;  // free, pages resident; the last one was used last
        std::vector<std::byte*> cold;  // free, no pages
        Slab* newest = nullptr;
        std::size_t carved_of_newest = 0;
        std::size_t carved = 0;
        std::size_t reserved = 0;
        std::size_t room = 0;  // capacity of both lists, never below `carved`, so that give() never allocates
    };

    explicit Impl(StackPoolOptions given) noexcept : options(given) {}
    ~Impl();

    Stack take(std::size_t slot_bytes) noexcept;
    void give(Stack stack) noexcept;
    std::byte* carve(SizeClass& sizes, std::size_t slot_bytes);
    bool reserve_slab(SizeClass& sizes, std::size_t slot_bytes);
    bool open(Slab& slab, std::byte* slot) noexcept;
    Slab& slab_of(std::byte* slot) noexcept { return std::prev(slabs.upper_bound(slot))->second; }

    // Relaxed: the owning worker is the only writer; a reader elsewhere wants a figure, not an order.
    template <class T>
    static void add(atomic<T>& counter, T difference) noexcept {
        counter.store(counter.load(memory_order_relaxed) + difference, memory_order_relaxed);
    }
    using Counter = atomic<std::uint64_t>;
    static void increment(Counter& counter) noexcept { add(counter, std::uint64_t{1}); }
    static void decrement(Counter& counter) noexcept { add(counter, ~std::uint64_t{0}); }

    const StackPoolOptions options;
    std::array<SizeClass, kClasses> classes;
    std::map<std::byte*, Slab> slabs;       // by their start
    std::vector<Slab*> with_cold;           // slabs in which slots became cold since their page tables were looked at
    std::vector<unsigned> valgrind_stacks;  // under valgrind: what it calls our stacks
    Counter in_use{0}, warm{0}, cold{0}, carved{0}, reserved_bytes{0}, trims{0};
    atomic<bool> guard_costs_mapping{false};
};

StackPool::Impl::~Impl() {
    SMARM_ASSERT(in_use.load(memory_order_relaxed) == 0, "a stack pool died while a stack was in use");
    for (const unsigned stack : valgrind_stacks) VALGRIND_STACK_DEREGISTER(stack);
}

Stack StackPool::Impl::take(std::size_t slot_bytes) noexcept {
    SizeClass& sizes = classes[class_index(slot_bytes)];
    std::byte* slot = nullptr;
    if (!sizes.warm.empty()) {
        slot = sizes.warm.back();
        sizes.warm.pop_back();
        decrement(warm);
    } else if (!sizes.cold.empty()) {
        slot = sizes.cold.back();
        if (!open(slab_of(slot), slot)) return {};
        sizes.cold.pop_back();
        decrement(cold);
    } else {
        try {
            slot = carve(sizes, slot_bytes);
        } catch (const std::bad_alloc&) {}
        if (!slot) return {};
    }
    increment(in_use);
    return Stack(slot, slot_bytes);
}

// Returns a slot that was never used, or nullptr.
std::byte* StackPool::Impl::carve(SizeClass& sizes, std::size_t slot_bytes) {
    if (sizes.carved == sizes.room) {
        std::size_t room = sizes.room ? 2 * sizes.room : 64;
        sizes.warm.reserve(room);
        sizes.cold.reserve(room);
        sizes.room = room;
    }
    if (sizes.carved == sizes.reserved && !reserve_slab(sizes, slot_bytes)) return nullptr;
    std::byte* slot = sizes.newest->slot(sizes.carved_of_newest);
    if (!open(*sizes.newest, slot)) return nullptr;
    if (RUNNING_ON_VALGRIND) {
        const Stack stack(slot, slot_bytes);
        valgrind_stacks.push_back(VALGRIND_STACK_REGISTER(stack.low(), stack.top()));
    }
    ++sizes.carved_of_newest;
    ++sizes.carved;
    increment(carved);
    return slot;
}

// As much as this class has already, so that many stacks need few slabs; less where the kernel does not have that.
bool StackPool::Impl::reserve_slab(SizeClass& sizes, std::size_t slot_bytes) {
    const std::size_t wish = std::clamp(sizes.reserved * slot_bytes, options.slab_bytes, kMostSlabBytes);
    for (std::size_t slots = std::max<std::size_t>(wish / slot_bytes, 1); slots > 0; slots /= 2) {
        std::optional<Slab> slab = Slab::reserve(slot_bytes, slots);
        if (!slab) continue;
        with_cold.reserve(slabs.size() + 1);  // so that give() never allocates
        sizes.newest = &slabs.emplace(slab->start(), std::move(*slab)).first->second;
        sizes.carved_of_newest = 0;
        sizes.reserved += slots;
        add(reserved_bytes, std::uint64_t{slots * slot_bytes});
        return true;
    }
    return false;
}

bool StackPool::Impl::open(Slab& slab, std::byte* slot) noexcept {
    if (options.allow_guard_install && !guard_costs_mapping.load(memory_order_relaxed)) {
        if (slab.open(slot, false)) return true;
        if (errno != EINVAL) return false;  // known, but out of memory
    }
    if (!slab.open(slot, true)) return false;
    guard_costs_mapping.store(true, memory_order_relaxed);
    return true;
}

void StackPool::Impl::give(Stack stack) noexcept {
    SizeClass& sizes = classes[class_index(stack.slot_bytes())];
    SMARM_ASSERT(sizes.warm.size() + sizes.cold.size() < sizes.carved, "a stack was given back twice");
    decrement(in_use);
    if (sizes.warm.size() >= options.warm_stacks) {
        drop_pages(stack.low(), stack.end());
        Slab& slab = slab_of(stack.guard());
        slab.close(stack.guard());
        if (!std::exchange(slab.marked, true)) with_cold.push_back(&slab);
        sizes.cold.push_back(stack.guard());
        increment(cold);
        increment(trims);
        return;
    }
    std::byte* deep = deep_page(stack, options.deep_bytes);
    if (deep && touched(deep)) {
        drop_pages(stack.low(), deep + kPageBytes);
        increment(trims);
    }
    sizes.warm.push_back(stack.guard());
    increment(warm);
}

StackPool::StackPool(StackPoolOptions options) {
    SMARM_ASSERT(options.stack_bytes >= kMinStackBytes && options.stack_bytes <= kMaxStackBytes,
                 "the default stack size is out of range");
    impl_ = std::make_unique<Impl>(options);
}

StackPool::~StackPool() = default;

Stack StackPool::take(std::size_t stack_bytes) noexcept {
    if (stack_bytes == 0) stack_bytes = impl_->options.stack_bytes;
    SMARM_ASSERT(stack_bytes >= kMinStackBytes && stack_bytes <= kMaxStackBytes, "the stack size is out of range");
    return impl_->take(std::max(std::bit_ceil(stack_bytes), kMinSlotBytes));
}

void StackPool::give(Stack stack) noexcept {
    SMARM_ASSERT(stack && std::has_single_bit(stack.slot_bytes()) && stack.slot_bytes() >= kMinSlotBytes &&
                     stack.slot_bytes() <= kMaxStackBytes,
                 "this stack is from no pool");
    impl_->give(stack);
}

void StackPool::trim_below(const Stack& stack, const void* stack_pointer) noexcept {
    SMARM_ASSERT(stack_pointer >= stack.low() && stack_pointer <= stack.top(), "the pointer is not into this stack");
    drop_pages(stack.low(), page_floor(static_cast<const std::byte*>(stack_pointer) - kRedZoneBytes));
}

bool StackPool::trim_if_deep(const Stack& stack, const void* stack_pointer) noexcept {
    const auto* here = static_cast<const std::byte*>(stack_pointer);
    if (here < stack.low() + impl_->options.deep_bytes + 2 * kPageBytes) return false;
    if (!touched(page_floor(here - impl_->options.deep_bytes) - kPageBytes)) return false;
    trim_below(stack, stack_pointer);
    Impl::increment(impl_->trims);
    return true;
}

bool StackPool::release_tables() noexcept {
    if (impl_->with_cold.empty() || impl_->guard_costs_mapping.load(memory_order_relaxed)) return false;
    Slab* slab = impl_->with_cold.back();
    impl_->with_cold.pop_back();
    slab->marked = false;
    slab->release_tables();
    return !impl_->with_cold.empty();
}

StackPoolStatistics StackPool::statistics() const noexcept {
    return {
        .in_use = impl_->in_use.load(memory_order_relaxed),
        .warm = impl_->warm.load(memory_order_relaxed),
        .cold = impl_->cold.load(memory_order_relaxed),
        .carved = impl_->carved.load(memory_order_relaxed),
        .reserved_bytes = impl_->reserved_bytes.load(memory_order_relaxed),
        .trims = impl_->trims.load(memory_order_relaxed),
        .guard_costs_mapping = impl_->guard_costs_mapping.load(memory_order_relaxed),
    };
}

}  // namespace smarm
