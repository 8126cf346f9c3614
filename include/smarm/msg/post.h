// post.h: anything that travels to another worker.
//
// What:    a Post sits in a worker's inbox (an MpscStack) until that worker takes it out and calls deliver(post) on
//          its own OS thread. Encoded messages, wake-ups, assigned actors and control requests are Posts.
// Owner:   from a successful push on, the receiving worker; deliver takes the post over (frees or keeps it).
// End:     what nobody took is delivered on a thread without a worker, which must free it and do nothing else.
#pragma once

#include "smarm/base/mpsc_stack.h"

namespace smarm {

struct Post : MpscNode {
    using Deliver = void (*)(Post& post) noexcept;
    explicit Post(Deliver function) noexcept : deliver(function) {}
    Deliver deliver;
};

}  // namespace smarm
