#include "smarm/msg/parcel_memory.h"

#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

#include "smarm/base/sanitizer.h"
#include "smarm/base/sync.h"

namespace smarm {

#if defined(SMARM_ADDRESS_SANITIZER)

void* take_parcel_block() noexcept { return std::malloc(kParcelBlockBytes); }
void give_parcel_block(void* block) noexcept { std::free(block); }

#else

namespace {

struct Block {
    Block* next;
    Block* next_batch;  // of the first block of a batch in the store
};

void free_all(Block* block) noexcept {
    while (block) std::free(std::exchange(block, block->next));
}

class Store {
public:
    // Takes a batch over; false: it stays with the caller.
    bool put(Block* batch) noexcept {
        if (!lock_.try_lock()) return false;
        const bool has_room = count_ < kParcelBatches;
        if (has_room) {
            batch->next_batch = std::exchange(first_, batch);
            ++count_;
        }
        lock_.unlock();
        return has_room;
    }
    // Returns a batch, or nullptr.
    Block* get() noexcept {
        if (!lock_.try_lock()) return nullptr;
        Block* batch = first_;
        if (batch) {
            first_ = batch->next_batch;
            --count_;
        }
        lock_.unlock();
        return batch;
    }

private:
    SpinLock lock_;
    Block* first_ = nullptr;
    std::size_t count_ = 0;
};

Store store;  // without a destructor: threads may end after it would have run

enum class Keeping : std::uint8_t { not_yet, yes, ended };

struct Kept {
    Block* open;        // a batch that is taken from and added to
    std::size_t count;  // of open
    Block* full;        // a batch in reserve, or nullptr
    Keeping keeping;
};

// SAFETY: initial-exec saves a call on each access; it fits the surplus of static TLS that the loader keeps.
constinit thread_local Kept kept __attribute__((tls_model("initial-exec"))) = {};

// Frees what a thread keeps when it ends: by its destructor, which kept itself cannot have.
struct AtEnd {
    AtEnd() noexcept { kept.keeping = Keeping::yes; }
    ~AtEnd() {
        kept.keeping = Keeping::ended;
        free_all(std::exchange(kept.open, nullptr));
        free_all(std::exchange(kept.full, nullptr));
        kept.count = 0;
    }
};

// Whether this thread may keep blocks: from the first time on, until it ends.
[[gnu::noinline]] bool begin_keeping() noexcept {
    if (kept.keeping == Keeping::not_yet) {
        [[maybe_unused]] thread_local const AtEnd at_end;
    }
    return kept.keeping == Keeping::yes;
}

bool may_keep() noexcept { return __builtin_expect(kept.keeping == Keeping::yes, 1) || begin_keeping(); }

// open is used up.
[[gnu::noinline]] void* take_from_reserve() noexcept {
    Block* batch = nullptr;
    if (kept.full) batch = std::exchange(kept.full, nullptr);
    else if (may_keep()) batch = store.get();
    if (!batch) return std::malloc(kParcelBlockBytes);
    kept.open = batch->next;
    kept.count = kParcelBatch - 1;
    return batch;
}

// open is a batch.
[[gnu::noinline]] void put_open_aside() noexcept {
    Block* batch = std::exchange(kept.open, nullptr);
    kept.count = 0;
    if (kept.full && !store.put(kept.full)) free_all(kept.full);
    kept.full = batch;
}

}  // namespace

void* take_parcel_block() noexcept {
    Block* block = kept.open;
    if (!block) return take_from_reserve();
    kept.open = block->next;
    --kept.count;
    return block;
}

void give_parcel_block(void* block) noexcept {
    if (!may_keep()) return std::free(block);
    kept.open = new (block) Block{kept.open, nullptr};
    if (++kept.count == kParcelBatch) put_open_aside();
}

#endif

}  // namespace smarm
