#include "smarm/wait/select.h"

#include <algorithm>
#include <utility>

namespace smarm {
namespace {

void shuffle(std::span<SelectSource*> sources, Worker& worker) noexcept {
    for (std::size_t left = sources.size(); left > 1; --left)
        std::swap(sources[left - 1], sources[worker.random() % left]);
}

// Parks with every source enrolled, unless one has something by now.
Parked wait_for_any(std::span<SelectSource*> sources, Worker& worker, Instant deadline) noexcept {
    std::size_t enrolled = 0;
    bool with_mailbox = false;
    while (enrolled < sources.size() && sources[enrolled]->enroll(*worker.current())) {
        deadline = std::min(deadline, sources[enrolled]->due());
        with_mailbox |= sources[enrolled]->is_mailbox();
        ++enrolled;
    }
    Parked parked;
    if (enrolled == sources.size())
        parked = worker.park(with_mailbox ? WaitReason::select_message : WaitReason::select, deadline);
    while (enrolled > 0) sources[--enrolled]->withdraw();
    return parked;
}

}  // namespace

Selected select(std::span<SelectSource*> sources, Instant deadline) {
    Worker& worker = *this_worker();
    for (bool expired = false;;) {
        shuffle(sources, worker);
        for (SelectSource* source : sources) {
            if (source->poll()) return {Status::ok, source};
        }
        if (expired) return {Status::timed_out, nullptr};
        const Parked parked = wait_for_any(sources, worker, deadline);
        if (parked.requested) return {Status::exit_requested, nullptr};  // nothing was taken yet
        // It may also have been a source's due() that passed.
        expired = parked.timed_out && deadline != kNever && worker.driver().now() >= deadline;
    }
}

}  // namespace smarm
