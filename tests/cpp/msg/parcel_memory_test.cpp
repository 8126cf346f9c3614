#include "smarm/msg/parcel_memory.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include <malloc.h>

#include <doctest/doctest.h>

#include "smarm/base/sanitizer.h"

using namespace smarm;

namespace {

std::vector<void*> take(std::size_t count) {
    std::vector<void*> blocks;
    for (std::size_t i = 0; i < count; ++i) {
        blocks.push_back(take_parcel_block());
        REQUIRE(blocks.back());
        std::memset(blocks.back(), 0x5a, kParcelBlockBytes);
    }
    return blocks;
}

void give(const std::vector<void*>& blocks) {
    for (void* block : blocks) give_parcel_block(block);
}

template <class Body>
void on_thread(Body body) {
    std::thread(body).join();
}

}  // namespace

TEST_CASE("blocks that are out at the same time are different ones") {
    const auto blocks = take(5 * kParcelBatch);
    CHECK(std::set(blocks.begin(), blocks.end()).size() == blocks.size());
    give(blocks);
    const auto again = take(5 * kParcelBatch);
    CHECK(std::set(again.begin(), again.end()).size() == again.size());
    give(again);
}

#if !defined(SMARM_ADDRESS_SANITIZER)

// Bytes of malloc's main arena, where blocks come from that the first thread took.
static std::size_t in_use() { return mallinfo2().uordblks; }

TEST_CASE("what one thread frees another one gets") {
    const auto made = take(8 * kParcelBatch);
    const std::size_t before = in_use();
    on_thread([&] { give(made); });
    CHECK(in_use() + 3 * kParcelBatch * kParcelBlockBytes >
          before);  // what it kept itself was freed, not what is stored
    std::vector<void*> next;
    on_thread([&] { next = take(4 * kParcelBatch); });
    const std::set known(made.begin(), made.end());
    std::size_t seen = 0;
    for (void* block : next) seen += known.contains(block);
    CHECK(seen >= 3 * kParcelBatch);
    give(next);
}

TEST_CASE("what a thread keeps is freed when it ends, however little it is") {
    void* block = take_parcel_block();
    on_thread([&] { give_parcel_block(block); });
    const std::size_t before = in_use();
    for (int i = 0; i < 100; ++i) {
        block = std::malloc(kParcelBlockBytes);
        on_thread([&] { give_parcel_block(block); });
    }
    CHECK(in_use() < before + 50 * kParcelBlockBytes);
}

TEST_CASE("a block that was just given back is the next one") {
    on_thread([] {
        void* block = take_parcel_block();
        give_parcel_block(block);
        CHECK(take_parcel_block() == block);
        give_parcel_block(block);
    });
}

#endif

TEST_CASE("four threads that make and free each other's blocks never share one") {
    constexpr int kThreads = 4, kRounds = 400;
    std::vector<std::atomic<void**>> boxes(kThreads);
    std::atomic<int> wrong = 0;
    const auto work = [&](int me) {
        for (int round = 0; round < kRounds; ++round) {
            void** blocks = new void*[kParcelBatch];
            for (std::size_t i = 0; i < kParcelBatch; ++i) {
                blocks[i] = take_parcel_block();
                std::memset(blocks[i], me, kParcelBlockBytes);
            }
            for (std::size_t i = 0; i < kParcelBatch; ++i) {
                const auto* bytes = static_cast<unsigned char*>(blocks[i]);
                for (std::size_t at = 0; at < kParcelBlockBytes; ++at) wrong += bytes[at] != me;
            }
            // The neighbour frees them.
            void** old = boxes[(me + 1) % kThreads].exchange(blocks);
            for (std::size_t i = 0; old && i < kParcelBatch; ++i) give_parcel_block(old[i]);
            delete[] old;
        }
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) threads.emplace_back(work, i);
    for (std::thread& thread : threads) thread.join();
    for (auto& box : boxes) {
        void** left = box.load();
        for (std::size_t i = 0; left && i < kParcelBatch; ++i) give_parcel_block(left[i]);
        delete[] left;
    }
    CHECK(wrong == 0);
}
