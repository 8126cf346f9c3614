// Openings, and their ends: closing, replacing, abandoning.
#include "wait/fd_openings.h"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <new>

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "smarm/sched/scheduler.h"
#include "smarm/wait/fd.h"

namespace smarm {
namespace fd_openings {
namespace {

constexpr std::uint64_t kOneOpening = std::uint64_t{1} << 32;
constexpr int kParts = 16384;
atomic<FdRecord*> parts[kParts];

bool is_closing(std::uint64_t word) noexcept { return word & kOneOpening; }
bool has_watcher(std::uint64_t word, unsigned worker) noexcept { return word >> (worker % 32) & 1; }

// Tells a worker that the openings of `fd` before `opening` are no more.
struct AbandonPost final : PostOf<AbandonPost> {
    AbandonPost(int its_fd, std::uint32_t its_opening) noexcept : fd(its_fd), opening(its_opening) {}
    void arrived(Worker& worker) noexcept {
        static_cast<Reactor&>(worker.driver()).abandon(fd, opening);
        delete this;
    }
    void lost(Scheduler&) noexcept { delete this; }  // nobody waits there any more
    const int fd;
    const std::uint32_t opening;
};

// Tells the workers of an opening, which `word` was, that it is no more.
void tell_watchers(std::uint64_t word, int fd, std::uint32_t opening, Scheduler* scheduler) noexcept {
    if (!has_watchers(word) || !scheduler) return;
    for (unsigned i = 0; i < scheduler->workers(); ++i) {
        Worker* worker = has_watcher(word, i) ? scheduler->worker(i) : nullptr;
        if (!worker || worker == this_worker()) continue;
        if (auto* post = new (std::nothrow) AbandonPost(fd, opening)) worker->post(*post);
    }
}

// Ends the opening around take_away(), which takes the number from its file and returns 0 or errno.
template <class TakeAway>
int end_opening(int fd, Scheduler* scheduler, TakeAway take_away) noexcept {
    if (fd < 0) return EBADF;
    FdRecord* record = record_of(fd);
    if (!record) return take_away();  // then nobody waits for it either
    std::uint64_t word = settled(*record);
    // Acq_rel: of two closers one goes on, the other waits for it.
    while (!record->word.compare_exchange_weak(word, word + kOneOpening, memory_order_acq_rel)) word = settled(*record);
    if (Worker* worker = this_worker()) static_cast<Reactor&>(worker->driver()).forget(fd);
    const int error = take_away();
    const std::uint32_t next = opening_in(word) + 2;
    // Release pairs with settled(). Nobody notes a worker while the count is odd: `word` has them all.
    record->word.store(std::uint64_t{next} << 32, memory_order_release);
    tell_watchers(word, fd, next, scheduler);
    return error;
}

void abandon(int fd, FdRecord& record, Scheduler* scheduler) noexcept {
    // Acquire pairs with end_opening: what happened to the number before is visible.
    std::uint64_t word = record.word.load(memory_order_acquire);
    std::uint32_t next = 0;
    do {
        // Its closer tells them. Not waited for: it may need what the caller holds.
        if (is_closing(word)) return;
        next = opening_in(word) + 2;
    } while (!record.word.compare_exchange_weak(word, std::uint64_t{next} << 32, memory_order_acq_rel));
    if (Worker* worker = this_worker()) static_cast<Reactor&>(worker->driver()).forget(fd);
    tell_watchers(word, fd, next, scheduler);
}

}  // namespace

FdRecord* existing_record_of(int fd) noexcept {
    if (fd < 0 || fd / kNumbersPerPart >= kParts) return nullptr;
    // Acquire: pairs with the exchange in record_of.
    FdRecord* part = parts[fd / kNumbersPerPart].load(memory_order_acquire);
    return part ? &part[fd % kNumbersPerPart] : nullptr;
}

FdRecord* record_of(int fd) noexcept {
    if (fd < 0 || fd / kNumbersPerPart >= kParts) return nullptr;
    atomic<FdRecord*>& slot = parts[fd / kNumbersPerPart];
    FdRecord* part = slot.load(memory_order_acquire);
    if (__builtin_expect(!part, 0)) {
        auto fresh = std::unique_ptr<FdRecord[]>(new (std::nothrow) FdRecord[kNumbersPerPart]);
        if (!fresh) return nullptr;
        // Release, acquire: whoever finds the part finds its records made.
        if (slot.compare_exchange_strong(part, fresh.get(), memory_order_acq_rel, memory_order_acquire))
            part = fresh.release();
    }
    return &part[fd % kNumbersPerPart];
}

std::uint64_t settled(const FdRecord& record) noexcept {
    for (;;) {
        // Acquire pairs with the store in end_opening: what happened to the number before is visible.
        const std::uint64_t word = record.word.load(memory_order_acquire);
        if (!is_closing(word)) return word;
        sched_yield();
    }
}

// Notes that this worker waits for the number, and returns the opening that it waits for.
std::uint32_t join_opening(FdRecord& record, const Worker& worker) noexcept {
    for (;;) {
        std::uint64_t word = settled(record);
        if (has_watcher(word, worker.index())) return opening_in(word);
        // Acq_rel: one modification order of the word decides whether the closer sees the bit or we see its opening.
        const std::uint64_t noted = word | std::uint64_t{1} << (worker.index() % 32);
        if (record.word.compare_exchange_weak(word, noted, memory_order_acq_rel)) return opening_in(word);
    }
}

}  // namespace fd_openings

int close_fd(int fd, Scheduler* scheduler) noexcept {
    return fd_openings::end_opening(fd, scheduler, [fd] { return close(fd) == 0 || errno == EINTR ? 0 : errno; });
}

int replace_fd(int fd, int from, int flags, Scheduler* scheduler) noexcept {
    return fd_openings::end_opening(fd, scheduler, [=] {
        while (dup3(from, fd, flags) < 0) {
            if (errno != EINTR && errno != EBUSY)
                return errno;  // EBUSY: somebody opens a file that is to get the number
        }
        return 0;
    });
}

void abandon_fd(int fd, Scheduler* scheduler) noexcept {
    if (FdRecord* record = fd_openings::existing_record_of(fd)) fd_openings::abandon(fd, *record, scheduler);
}

void abandon_fds(int first, int last, Scheduler* scheduler) noexcept {
    using namespace fd_openings;
    for (int fd = std::max(first, 0); fd <= last && fd / kNumbersPerPart < kParts; ++fd) {
        FdRecord* record = existing_record_of(fd);
        if (!record) fd += kNumbersPerPart - 1 - fd % kNumbersPerPart;  // to the next part
        else if (has_watchers(record->word.load(memory_order_relaxed))) abandon(fd, *record, scheduler);
    }
}

}  // namespace smarm
