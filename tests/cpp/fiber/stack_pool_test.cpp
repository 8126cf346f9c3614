#include "smarm/fiber/stack_pool.h"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "../support/child.h"
#include "smarm/fiber/context.h"

using namespace smarm;
using smarm::testing::run_in_child;

namespace {

std::size_t resident_pages(std::byte* from, std::byte* to) {
    std::vector<unsigned char> pages(static_cast<std::size_t>(to - from) / kPageBytes);
    REQUIRE(mincore(from, pages.size() * kPageBytes, pages.data()) == 0);
    std::size_t resident = 0;
    for (unsigned char page : pages) resident += page & 1u;
    return resident;
}
std::size_t resident_pages(const Stack& stack) { return resident_pages(stack.low(), stack.end()); }

std::size_t page_table_bytes() {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;) {
        std::size_t kib = 0;
        if (word == "VmPTE:" && status >> kib) return kib * 1024;
    }
    return 0;
}

// What the kernel counts as this process's memory; exact, because smaps walks the page tables.
std::size_t rss_bytes() {
    std::ifstream rollup("/proc/self/smaps_rollup");
    for (std::string word; rollup >> word;) {
        std::size_t kib = 0;
        if (word == "Rss:" && rollup >> kib) return kib * 1024;
    }
    return 0;
}

// Lines of /proc/self/maps that have to do with the stack's slot.
std::size_t mappings_of(const Stack& stack) {
    std::ifstream maps("/proc/self/maps");
    std::size_t lines = 0;
    for (std::string line; std::getline(maps, line);) {
        std::size_t end = 0;
        const std::size_t start = std::stoul(line, &end, 16), last = std::stoul(line.substr(end + 1), nullptr, 16);
        const auto low = reinterpret_cast<std::uintptr_t>(stack.guard()), high = low + stack.slot_bytes();
        lines += start < high && last > low;
    }
    return lines;
}

// Asks the kernel, which refuses instead of faulting.
bool readable(const std::byte* address) {
    static const int sink = memfd_create("sink", MFD_CLOEXEC);
    return pwrite(sink, address, 1, 0) == 1;
}

// Writes one word into each page of the top `bytes` of the stack, as a flow that went that deep would.
void use_stack(const Stack& stack, std::size_t bytes) {
    for (std::size_t depth = 64; depth < bytes; depth += kPageBytes) *(stack.top() - depth) = std::byte{1};
    *(stack.top() - bytes) = std::byte{1};
}

// Far deeper than any stack; a bound only so that the compiler does not call it endless.
[[gnu::noinline]] int recurse(int depth) {
    volatile char frame[256];
    frame[0] = static_cast<char>(depth);
    return depth == 0 ? 0 : recurse(depth - 1) + frame[0];
}

void die_by_recursion(bool allow_guard_install) {
    StackPool pool({.allow_guard_install = allow_guard_install});
    Context root, context;
    prepare(context, pool.take(), [](void*) { recurse(100'000'000); }, nullptr);
    switch_context(root, context);
}

}  // namespace

TEST_CASE("a stack is laid out as stack.h draws it") {
    StackPool pool;
    const Stack stack = pool.take();
    REQUIRE(stack);
    CHECK(stack.slot_bytes() == StackPoolOptions{}.stack_bytes);
    CHECK(reinterpret_cast<std::uintptr_t>(stack.guard()) % kPageBytes == 0);
    CHECK(stack.low() == stack.guard() + guard_bytes(stack.slot_bytes()));
    CHECK(reinterpret_cast<std::uintptr_t>(stack.top()) % kPageBytes == kStackShare);
    CHECK(reinterpret_cast<std::uintptr_t>(stack.top()) % 64 == 0);
    CHECK(stack.rider_area() + kRiderAreaBytes <= stack.end());
    CHECK(stack.usable_bytes() + guard_bytes(stack.slot_bytes()) + kRiderAreaBytes <= stack.slot_bytes());
    CHECK(stack.contains(stack.guard()));
    CHECK(stack.contains(stack.end() - 1));
    CHECK_FALSE(stack.contains(stack.end()));
    pool.give(stack);
}

TEST_CASE("all of a stack but its guard can be written") {
    StackPool pool;
    const Stack stack = pool.take();
    std::memset(stack.low(), 1, static_cast<std::size_t>(stack.end() - stack.low()));
    pool.give(stack);
}

TEST_CASE("touching the guard is a SIGSEGV") {
    for (bool allow_guard_install : {true, false}) {
        CAPTURE(allow_guard_install);
        const auto end = run_in_child([=] {
            StackPool pool({.allow_guard_install = allow_guard_install});
            const Stack stack = pool.take();
            *(stack.low() - 1) = std::byte{1};
        });
        CHECK(end.signal == SIGSEGV);
    }
}

TEST_CASE("of a slot the guard alone is inaccessible: 64 KiB, and 1 MiB where there is room for native code") {
    for (bool allow_guard_install : {true, false}) {
        for (const auto& [stack_bytes, guard] : {std::pair{kMinStackBytes, 64u << 10},
                                                 {std::size_t{1} << 20, 64u << 10},
                                                 {kNativeStackBytes, 1u << 20},
                                                 {2 * kNativeStackBytes, 1u << 20}}) {
            CAPTURE(stack_bytes);
            StackPool pool({.allow_guard_install = allow_guard_install});
            const Stack stack = pool.take(stack_bytes);
            CHECK(stack.low() - stack.guard() == guard);
            for (std::size_t offset = 0; offset < guard; offset += kPageBytes)
                CHECK_FALSE(readable(stack.guard() + offset));
            CHECK(readable(stack.low()));
            CHECK(readable(stack.end() - 1));
            pool.give(stack);
        }
    }
}

TEST_CASE("endless recursion ends in the guard") {
    for (bool allow_guard_install : {true, false}) {
        CAPTURE(allow_guard_install);
        CHECK(run_in_child([=] { die_by_recursion(allow_guard_install); }).signal == SIGSEGV);
    }
}

TEST_CASE("the guard outlives trimming and reuse") {
    const auto end = run_in_child([] {
        StackPool pool({.warm_stacks = 0});
        pool.give(pool.take());
        const Stack stack = pool.take();
        StackPool::trim_below(stack, stack.top());
        *stack.guard() = std::byte{1};
    });
    CHECK(end.signal == SIGSEGV);
}

TEST_CASE("guards cost no mappings where the kernel has MADV_GUARD_INSTALL, and statistics say where not") {
    for (bool allow_guard_install : {true, false}) {
        StackPool pool({.allow_guard_install = allow_guard_install});
        const Stack first = pool.take(), second = pool.take();
        CHECK(mappings_of(first) == (pool.statistics().guard_costs_mapping ? 2 : 1));
        pool.give(first);
        pool.give(second);
    }
}

TEST_CASE("the mprotect fallback is told by the statistics") {
    StackPool pool({.allow_guard_install = false});
    CHECK_FALSE(pool.statistics().guard_costs_mapping);
    pool.give(pool.take());
    CHECK(pool.statistics().guard_costs_mapping);
}

TEST_CASE("sizes are rounded up to a power of two of 256 KiB at least, and classes do not mix") {
    StackPool pool;
    const Stack small = pool.take(kMinStackBytes), odd = pool.take(300'000), large = pool.take(1 << 20);
    CHECK(small.slot_bytes() == 262'144);
    CHECK(odd.slot_bytes() == 524'288);
    CHECK(large.slot_bytes() == 1 << 20);
    pool.give(odd);
    const Stack again = pool.take(1 << 20);
    CHECK(again.guard() != odd.guard());
    for (Stack stack : {small, large, again}) pool.give(stack);
}

TEST_CASE("a stack larger than a slab gets a slab of its own") {
    StackPool pool({.slab_bytes = 1 << 20});
    const Stack huge = pool.take(kMaxStackBytes);
    REQUIRE(huge);
    CHECK(huge.slot_bytes() == kMaxStackBytes);
    *huge.low() = std::byte{1};
    CHECK(pool.statistics().reserved_bytes == kMaxStackBytes);
    pool.give(huge);
}

TEST_CASE("the slot used last is given first, still warm") {
    StackPool pool;
    const Stack first = pool.take(), second = pool.take();
    use_stack(first, 8000);
    pool.give(second);
    pool.give(first);
    const Stack again = pool.take();
    CHECK(again.guard() == first.guard());
    CHECK(resident_pages(again) >= 2);
    CHECK(pool.statistics().trims == 0);
    pool.give(again);
}

TEST_CASE("a fresh flow touches one page") {
    StackPool pool;
    const Stack stack = pool.take();
    Context context;
    prepare(context, stack, [](void*) {}, nullptr);
    *stack.rider_area() = std::byte{1};
    CHECK(resident_pages(stack) == 1);
    pool.give(stack);
}

TEST_CASE("beyond warm_stacks free slots the pages go back to the kernel") {
    constexpr std::size_t kStacks = 64, kUsed = 24 * 1024;
    StackPool pool({.warm_stacks = 4});
    std::vector<Stack> stacks;
    for (std::size_t i = 0; i < kStacks; ++i) {
        stacks.push_back(pool.take());
        use_stack(stacks.back(), kUsed);
    }
    const std::size_t before = rss_bytes();
    for (Stack stack : stacks) pool.give(stack);
    CHECK(before - rss_bytes() > (kStacks - 8) * kUsed);
    const StackPoolStatistics statistics = pool.statistics();
    CHECK(statistics.warm == 4);
    CHECK(statistics.cold == kStacks - 4);
    CHECK(statistics.trims == kStacks - 4);
    CHECK(resident_pages(stacks.front()) > 0);
    CHECK(resident_pages(stacks.back()) == 0);
}

TEST_CASE("a large stack that is parked needs one page of page tables, though its guard has 256 entries") {
    constexpr std::size_t kStacks = 1024;
    StackPool pool;
    std::vector<Stack> stacks;
    stacks.reserve(kStacks);
    const std::size_t before = page_table_bytes();
    for (std::size_t i = 0; i < kStacks; ++i) {
        stacks.push_back(pool.take(kNativeStackBytes));
        use_stack(stacks.back(), 64);
    }
    const std::size_t each = (page_table_bytes() - before) / kStacks;
    CHECK(each >= kPageBytes);
#if !defined(SMARM_ADDRESS_SANITIZER) && !defined(SMARM_THREAD_SANITIZER)  // their shadows have page tables, too
    CHECK(each <= kPageBytes + 128);
#endif
    for (Stack stack : stacks) pool.give(stack);
}

// A kernel that does not give page tables back to others than munmap passes: there is nothing to test.
bool kernel_frees_page_tables() {
    constexpr std::size_t kBytes = 64 << 20;
    void* memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    madvise(memory, kBytes, MADV_NOHUGEPAGE);
    for (std::size_t i = 0; i < kBytes; i += 2 << 20) static_cast<std::byte*>(memory)[i] = std::byte{1};
    const std::size_t before = page_table_bytes();
    madvise(memory, kBytes, MADV_DONTNEED);
    const bool frees = before - page_table_bytes() > 20 * kPageBytes;
    munmap(memory, kBytes);
    return frees;
}

#if defined(SMARM_THREAD_SANITIZER)
constexpr bool kShadowStays = true;  // four times what it watches, with page tables of its own
#else
constexpr bool kShadowStays = false;
#endif

TEST_CASE("page tables of cold slots go back to the kernel where it takes them, and the slots serve again") {
    for (std::size_t stack_bytes : {kMinStackBytes, std::size_t{1} << 20, kNativeStackBytes}) {
        CAPTURE(stack_bytes);
        constexpr std::size_t kStacks = 1024;
        StackPool pool({.warm_stacks = 0});
        std::vector<Stack> stacks;
        stacks.reserve(kStacks);
        const std::size_t bare = page_table_bytes();
        for (std::size_t i = 0; i < kStacks; ++i) {
            stacks.push_back(pool.take(stack_bytes));
            use_stack(stacks.back(), 64);
        }
        const std::size_t used = page_table_bytes() - bare;
        const Stack kept = stacks[kStacks / 2];
        for (const Stack& stack : stacks)
            if (stack.guard() != kept.guard()) pool.give(stack);
        while (pool.release_tables()) {}
        CHECK_FALSE(pool.release_tables());
        if (!kShadowStays && kernel_frees_page_tables()) CHECK(page_table_bytes() < bare + used / 8);
        CHECK_FALSE(readable(kept.low() - 1));
        CHECK(*(kept.top() - 64) == std::byte{1});

        for (Stack& stack : stacks) {
            if (stack.guard() == kept.guard()) continue;
            stack = pool.take(stack_bytes);
            CHECK_FALSE(readable(stack.guard()));
            CHECK_FALSE(readable(stack.low() - 1));
            CHECK(*(stack.top() - 64) == std::byte{0});
        }
        CHECK(pool.statistics().carved == kStacks);
        for (const Stack& stack : stacks) pool.give(stack);
    }
}

TEST_CASE("a cold slot reads as zeroes when it is given again") {
    StackPool pool({.warm_stacks = 0});
    Stack stack = pool.take();
    use_stack(stack, 4096);
    pool.give(stack);
    stack = pool.take();
    CHECK(*(stack.top() - 64) == std::byte{0});
    pool.give(stack);
}

TEST_CASE("a stack that ran deep gives its deep pages back, a shallow one keeps all") {
    StackPool pool({.deep_bytes = 32 * 1024});
    const Stack stack = pool.take();
    use_stack(stack, 30 * 1024);
    const std::size_t shallow = resident_pages(stack);
    pool.give(stack);
    // Looking at the first deep page maps the shared page of zeroes there.
    CHECK(resident_pages(stack) <= shallow + 1);
    CHECK(resident_pages(stack) >= shallow);
    CHECK(pool.statistics().trims == 0);

    REQUIRE(pool.take().guard() == stack.guard());
    use_stack(stack, 160 * 1024);
    CHECK(resident_pages(stack) > 40);
    pool.give(stack);
    CHECK(resident_pages(stack) <= 10);
    CHECK(pool.statistics().trims == 1);

    REQUIRE(pool.take().guard() == stack.guard());
    pool.give(stack);
    CHECK(pool.statistics().trims == 1);
}

TEST_CASE("trimming below a suspended flow frees pages and leaves the flow intact") {
    struct Diver {
        Context root, context;
        long sum = 0;
        static long dive(int depth) {
            volatile char frame[1024];
            for (char volatile& c : frame) c = 1;
            return depth == 0 ? frame[0] : dive(depth - 1) + frame[512];
        }
    } diver;
    StackPool pool;
    const Stack stack = pool.take();
    prepare(
        diver.context, stack,
        [](void* argument) {
            auto& self = *static_cast<Diver*>(argument);
            volatile long kept[64];
            for (int i = 0; i < 64; ++i) kept[i] = i;
            Diver::dive(100);
            switch_context(self.context, self.root);
            for (int i = 0; i < 64; ++i) self.sum += kept[i];
            leave_context(self.context, self.root);
        },
        &diver);
    switch_context(diver.root, diver.context);
    const std::size_t before = resident_pages(stack);
    const auto* stopped_at = static_cast<std::byte*>(diver.context.stack_pointer);
    StackPool::trim_below(stack, stopped_at);
    CHECK(before > 20);
    CHECK(resident_pages(stack) < before - 20);
    switch_context(diver.root, diver.context);
    CHECK(diver.sum == 64 * 63 / 2);
    pool.give(stack);
}

// Sanitizers reserve address space as they go and die of this limit themselves.
#if !defined(SMARM_ADDRESS_SANITIZER) && !defined(SMARM_THREAD_SANITIZER)
TEST_CASE("take returns an empty stack when the address space is full, and works again when it is not") {
    const auto end = run_in_child([] {
        StackPool pool;
        rlimit before{}, small{};
        getrlimit(RLIMIT_AS, &before);
        const Stack first = pool.take();
        small = {StackPoolOptions{}.slab_bytes, before.rlim_max};
        setrlimit(RLIMIT_AS, &small);
        if (pool.take(1 << 20)) _exit(1);
        if (pool.statistics().in_use != 1 || pool.statistics().reserved_bytes != StackPoolOptions{}.slab_bytes)
            _exit(2);
        // What is reserved already still serves.
        const Stack second = pool.take();
        if (!second) _exit(3);
        setrlimit(RLIMIT_AS, &before);
        const Stack third = pool.take(1 << 20);
        if (!third) _exit(4);
        for (Stack stack : {first, second, third}) pool.give(stack);
    });
    CHECK(end.exit_code == 0);
    CHECK(end.signal == 0);
}
#endif

TEST_CASE("take returns an empty stack when the kernel has no mappings left") {
    const auto end = run_in_child([] {
        std::size_t limit = 0;
        std::ifstream("/proc/sys/vm/max_map_count") >> limit;
        if (limit == 0 || limit > 200'000) return;  // too many to use up in a test
        StackPool pool({.stack_bytes = kMinStackBytes, .allow_guard_install = false});
        std::vector<Stack> stacks;
        stacks.reserve(limit);
        while (Stack stack = pool.take()) stacks.push_back(stack);
        if (stacks.size() < limit / 4 || pool.statistics().carved != stacks.size()) _exit(1);
        for (Stack stack : stacks)
            if (readable(stack.guard())) _exit(3);
        const Stack last = stacks.back();
        pool.give(last);
        if (pool.take().guard() != last.guard()) _exit(2);
        for (Stack stack : stacks) pool.give(stack);
    });
    CHECK(end.exit_code == 0);
    CHECK(end.signal == 0);
}

TEST_CASE("slots in use never overlap, and the statistics add up") {
    StackPool pool({.slab_bytes = 4 << 20, .warm_stacks = 8});
    std::mt19937 random(3);
    std::map<std::byte*, Stack> in_use;
    for (int step = 0; step < 5000; ++step) {
        if (in_use.size() < 200 && random() % 5 < 3) {
            const Stack stack = pool.take(kMinStackBytes << random() % 4);
            REQUIRE(stack);
            const auto next = in_use.lower_bound(stack.guard());
            if (next != in_use.end()) REQUIRE(stack.end() <= next->second.guard());
            if (next != in_use.begin()) REQUIRE(std::prev(next)->second.end() <= stack.guard());
            use_stack(stack, random() % stack.usable_bytes() + 1);
            in_use.emplace(stack.guard(), stack);
        } else if (!in_use.empty()) {
            auto chosen = std::next(in_use.begin(), static_cast<std::ptrdiff_t>(random() % in_use.size()));
            pool.give(chosen->second);
            in_use.erase(chosen);
        }
        const StackPoolStatistics statistics = pool.statistics();
        REQUIRE(statistics.in_use == in_use.size());
        REQUIRE(statistics.in_use + statistics.warm + statistics.cold == statistics.carved);
    }
    for (auto& [guard, stack] : in_use) pool.give(stack);
}

TEST_CASE("statistics may be read from another thread") {
    StackPool pool;
    std::thread reader([&] {
        for (int i = 0; i < 1000; ++i) static_cast<void>(pool.statistics());
    });
    for (int i = 0; i < 1000; ++i) pool.give(pool.take());
    reader.join();
}

TEST_CASE("a pool gives all its address space back when it dies") {
    std::vector<Stack> stacks;
    {
        StackPool pool({.slab_bytes = 1 << 20, .allow_guard_install = false});
        for (int i = 0; i < 200; ++i) stacks.push_back(pool.take());
        for (Stack stack : stacks) pool.give(stack);
    }
    for (Stack stack : stacks) {
        unsigned char page = 0;
        REQUIRE(mincore(stack.guard(), kPageBytes, &page) != 0);
        REQUIRE(errno == ENOMEM);  // nothing is mapped there
    }
}

TEST_CASE("misuse is an assertion failure") {
    const auto twice = run_in_child([] {
        StackPool pool;
        const Stack stack = pool.take();
        pool.give(stack);
        pool.give(stack);
    });
    CHECK(twice.signal == SIGABRT);
    CHECK(twice.said("given back twice"));
    const auto in_use = run_in_child([] { StackPool().take(); });
    CHECK(in_use.said("a stack was in use"));
    const auto tiny = run_in_child([] { StackPool().take(4096); });
    CHECK(tiny.said("out of range"));
}
