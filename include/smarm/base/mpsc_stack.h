// mpsc_stack.h: many producers push, one consumer takes everything at once, in the order of pushing.
//
// What:    a Treiber stack whose consumer swaps the head out and reverses the chain, so that each producer's
//          elements come out in the order in which it pushed them (FIFO per producer).
// States:  open -> closed (close() returns what was left; later pushes are refused) -> open again by reopen().
// Owner:   the stack borrows nodes between push and take; it never allocates and never blocks.
// Threads: push from any thread; take, close, reopen from the consumer only.
// Order:   push releases, take acquires: the consumer sees what the producer wrote before pushing.
//          No ABA: nodes are only ever taken all at once.
// Source:  R. K. Treiber, "Systems Programming: Coping with Parallelism", 1986.
#pragma once

#include <cstdint>

#include "smarm/base/sync.h"

namespace smarm {

struct MpscNode {
    MpscNode* next = nullptr;
};

class MpscStack {
public:
    // Returns false, leaving the node with the caller, when the stack is closed.
    bool push(MpscNode& node) noexcept {
        MpscNode* head = head_.load(memory_order_relaxed);
        do {
            if (head == closed()) return false;
            node.next = head;
            // Seq_cst success: a worker's sleeping flag is read after it (see Worker::post). It implies release.
        } while (!head_.compare_exchange_weak(head, &node, memory_order_seq_cst, memory_order_relaxed));
        return true;
    }

    // Cheap look for the consumer; a push that is under way may be missed.
    bool empty() const noexcept {
        MpscNode* head = head_.load(memory_order_relaxed);
        return head == nullptr || head == closed();
    }

    // Returns the chain of all nodes, oldest first, or nullptr.
    MpscNode* take_all() noexcept { return reversed(head_.exchange(nullptr, memory_order_acquire)); }

    // Refuses pushes from now on and returns the chain of what was there, oldest first.
    MpscNode* close() noexcept { return reversed(head_.exchange(closed(), memory_order_acq_rel)); }

    // Accepts pushes again. Must be closed.
    void reopen() noexcept { head_.store(nullptr, memory_order_release); }

private:
    // SAFETY: address 1 is never a node's; it is only compared, never followed.
    static MpscNode* closed() noexcept { return reinterpret_cast<MpscNode*>(std::uintptr_t{1}); }

    static MpscNode* reversed(MpscNode* newest) noexcept {
        if (newest == closed()) return nullptr;
        MpscNode* chain = nullptr;
        while (newest) {
            MpscNode* older = newest->next;
            newest->next = chain;
            chain = newest;
            newest = older;
        }
        return chain;
    }

    atomic<MpscNode*> head_{nullptr};
};

}  // namespace smarm
