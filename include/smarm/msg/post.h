// post.h: anything that travels to another worker.
//
// What:    a Post sits in a worker's inbox (an MpscStack) until that worker takes it out. Encoded messages, wake-ups,
//          assigned actors and signals are Posts.
// Ends:    every kind says both ends of its way by construction: what happens when it arrives (arrive), on its worker's
//          own OS thread, and when nobody will take it (nobody), because that worker's run has ended, on whatever
//          thread.
// Owner:   from the posting on, the receiving worker; either end takes the post over (frees or keeps it).
// Kinds:   PostOf<Self> for a class with the two functions; Post::Kind for what gets its kind later (parcels, actors).
// Cost:    one pointer and one indirect call, as a virtual function's; a kind need not be known in this layer.
#pragma once

#include "smarm/base/mpsc_stack.h"

namespace smarm {

class Scheduler;
class Worker;

class Post : public MpscNode {
public:
    struct Kind {
        void (*arrive)(Post& post, Worker& worker) noexcept;
        void (*nobody)(Post& post, Scheduler& scheduler) noexcept;
    };
    explicit Post(const Kind& kind) noexcept : kind_(&kind) {}
    // What it is from now on; nobody else has it.
    void become(const Kind& kind) noexcept { kind_ = &kind; }

    void arrive(Worker& worker) noexcept { kind_->arrive(*this, worker); }
    void nobody(Scheduler& scheduler) noexcept { kind_->nobody(*this, scheduler); }

private:
    const Kind* kind_;
};

// A kind of post of its own: Self has `void arrived(Worker&) noexcept` and `void lost(Scheduler&) noexcept`.
template <class Self>
class PostOf : public Post {
protected:
    PostOf() noexcept : Post(kKind) {}

private:
    static constexpr Kind kKind{
        [](Post& post, Worker& worker) noexcept { static_cast<Self&>(post).arrived(worker); },
        [](Post& post, Scheduler& scheduler) noexcept { static_cast<Self&>(post).lost(scheduler); }};
};

// Takes every post of a chain out of it, oldest first, with `end`, which may free it or post it again.
template <class End>
void for_each_post(MpscNode* chain, End end) {
    while (chain) {
        auto& post = *static_cast<Post*>(chain);
        chain = chain->next;
        end(post);
    }
}

}  // namespace smarm
