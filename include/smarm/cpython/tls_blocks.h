// tls_blocks.h: thread-local variables of extension modules, one set for each actor.
//
// What:    actors of a worker share its thread, and with it the thread_local variables of native code. pybind11 keeps a
//          stack of its calls in one, and ends the process when two actors leave such calls in another order than they
//          entered them. For objects of which this is known, the variables ride the switch: those of the flow that is
//          left are set aside, those of the next one are put in their place, as the object initialises them for a flow
//          that is new.
// Which:   shared objects that contain pybind11 and whose thread_local variables have no destructors, since those would
//          run once per thread. smarm itself is not among them.
// Owner:   TlsBlocks: what was set aside. Threads: find_tls_objects any; a TlsBlocks its worker's. Throws: no; without
//          memory for what is to be set aside, the variables stay shared for that switch.
#pragma once

#include <cstddef>
#include <unordered_map>
#include <vector>

#include "smarm/base/sync.h"

namespace smarm {

// How many such objects the process has. Relaxed: a worker that switches meets those of modules that its interpreter
// has loaded.
extern atomic<std::size_t> tls_object_count;

// Looks at what has been loaded since the last call. Cheap when nothing has.
void find_tls_objects() noexcept;

class TlsBlocks {
public:
    // Between two flows of the calling thread, told apart by any addresses of theirs.
    void ride(const void* from, const void* to) noexcept;
    // `flow` has ended: another may get its address.
    void forget(const void* flow) noexcept { aside_.erase(flow); }

private:
    struct Block {
        std::byte* variables;  // of this thread
        const std::byte* initial;
        std::size_t initial_bytes;  // zeroes follow
        std::size_t bytes;
    };
    using Aside = std::vector<std::byte>;  // of the blocks, one after the other; of those that came later nothing

    void meet_objects();
    bool is_initial() const noexcept;
    void set_aside(const void* flow);
    void put_back(const Aside* aside) noexcept;

    std::vector<Block> blocks_;
    std::size_t bytes_ = 0;
    std::unordered_map<const void*, Aside> aside_;
};

}  // namespace smarm
