#include "smarm/msg/parcel_memory.h"

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

Store& store() noexcept {
    static Store& it = *new Store;  // never destroyed: threads may end after it would be
    return it;
}

struct Kept {
    Block* open;        // a batch that is taken from and added to
    std::size_t count;  // of open
    Block* full;        // a batch in reserve, or nullptr
};

// SAFETY: initial-exec saves a call on each access; 24 bytes fit the surplus of static TLS that the loader keeps.
constinit thread_local Kept kept __attribute__((tls_model("initial-exec"))) = {};

// Frees what a thread keeps when it ends: by its destructor, which kept itself cannot have.
struct AtEnd {
    ~AtEnd() {
        free_all(std::exchange(kept.open, nullptr));
        free_all(std::exchange(kept.full, nullptr));
        kept.count = 0;
    }
    void arm() const noexcept {}
};
thread_local AtEnd at_end;

// open is used up.
[[gnu::noinline]] void* take_from_reserve() noexcept {
    Block* batch = kept.full ? std::exchange(kept.full, nullptr) : store().get();
    if (!batch) return std::malloc(kParcelBlockBytes);
    at_end.arm();
    kept.open = batch->next;
    kept.count = kParcelBatch - 1;
    return batch;
}

// open is a batch.
[[gnu::noinline]] void put_open_aside() noexcept {
    at_end.arm();
    Block* batch = std::exchange(kept.open, nullptr);
    kept.count = 0;
    if (kept.full && !store().put(kept.full)) free_all(kept.full);
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
    kept.open = new (block) Block{kept.open, nullptr};
    if (++kept.count == kParcelBatch) put_open_aside();
}

#endif

}  // namespace smarm
