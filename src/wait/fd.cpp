#include "smarm/wait/fd.h"

#include <cerrno>
#include <memory>
#include <new>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "smarm/sched/scheduler.h"

namespace smarm {
namespace {

// ---- the table of openings -----------------------------------------------------------------------------------------------

// One number: the count of its openings in the upper half (even: open or never seen; odd: being closed), and below it the
// workers that have waited for this opening, as bits of index modulo 32. One word, so that a wait belongs to one opening and
// its close sees it.
struct FdRecord {
    atomic<std::uint64_t> word{0};
};
constexpr std::uint64_t kOneOpening = std::uint64_t{1} << 32;
std::uint32_t opening_in(std::uint64_t word) noexcept { return static_cast<std::uint32_t>(word >> 32); }
bool is_closing(std::uint64_t word) noexcept { return word & kOneOpening; }
bool has_watcher(std::uint64_t word, unsigned worker) noexcept { return word >> (worker % 32) & 1; }

constexpr std::size_t kRecordsPerPart = 1024;
constexpr std::size_t kParts = 16384;
atomic<FdRecord*> parts[kParts];

// Returns nullptr when there is no memory for the record. Parts are never freed.
FdRecord* record_of(int fd) noexcept {
    const std::size_t index = static_cast<std::size_t>(fd) / kRecordsPerPart;
    if (fd < 0 || index >= kParts) return nullptr;
    FdRecord* part = parts[index].load(memory_order_acquire);
    if (__builtin_expect(!part, 0)) {
        auto fresh = std::unique_ptr<FdRecord[]>(new (std::nothrow) FdRecord[kRecordsPerPart]);
        if (!fresh) return nullptr;
        // Release, acquire: whoever finds the part finds its records made.
        if (parts[index].compare_exchange_strong(part, fresh.get(), memory_order_acq_rel, memory_order_acquire))
            part = fresh.release();
    }
    return &part[static_cast<std::size_t>(fd) % kRecordsPerPart];
}

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
    if (static_cast<std::uint32_t>(word) == 0 || !scheduler) return;
    for (unsigned i = 0; i < scheduler->options().workers; ++i) {
        Worker* worker = has_watcher(word, i) ? scheduler->worker(i) : nullptr;
        if (!worker || worker == this_worker()) continue;
        if (auto* post = new (std::nothrow) AbandonPost(fd, opening)) worker->post(*post);
    }
}

// Returns the word once nobody is closing the number. A close in progress may be that of the last file: the number is free for
// the next one before close(2) returns.
std::uint64_t settled(const FdRecord& record) noexcept {
    for (;;) {
        // Acquire pairs with the store in close_fd: what happened to the number before is visible.
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

// ---- parking -----------------------------------------------------------------------------------------------------------

struct ParkedWait final : FdWait {
    ParkedWait() noexcept : FdWait(fire) {}
    static void fire(FdWait& wait, Ready ready) {
        auto& parked = static_cast<ParkedWait&>(wait);
        parked.fired = true;
        parked.closed = ready == Ready::closed;
        parked.actor->worker->wake(*parked.actor);
    }
    Actor* actor = this_actor();
    bool fired = false;
    bool closed = false;
};

Reactor& reactor_of(Worker& worker) noexcept { return static_cast<Reactor&>(worker.driver()); }

// `fd` is an int or an OwnedFd.
template <class Fd>
FdEnd park_for(Fd& fd, int number, Interest interest, Instant deadline) noexcept {
    Worker& worker = *this_worker();
    FdRecord* record = record_of(number);
    if (!record) return {FdStatus::failed, ENOMEM};
    ParkedWait wait;
    wait.opening = join_opening(*record, worker);
    if (const int error = reactor_of(worker).add(wait, fd, interest)) return {FdStatus::failed, error};
    Parked parked;
    while (!wait.fired && parked.woken()) parked = worker.park(WaitReason::fd, deadline);
    reactor_of(worker).remove(wait);
    if (parked.requested) return {FdStatus::exit_requested};
    if (wait.fired) return {wait.closed ? FdStatus::closed : FdStatus::ready};
    return {FdStatus::timed_out};
}

bool has_passed(Instant deadline) noexcept { return deadline != kNever && this_worker()->driver().now() >= deadline; }

bool would_block(int error) noexcept { return error == EAGAIN || error == EWOULDBLOCK; }

bool is_file(int fd) noexcept {
    struct stat status{};
    return fstat(fd, &status) == 0 && (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode));
}

// One transfer that does not wait: preadv2 and pwritev2 can promise that for pipes and sockets, whatever O_NONBLOCK says.
// `offer` is that call with RWF_NOWAIT, `plain` the one without. Returns -1 with EAGAIN when there is nothing to do yet.
template <class Offer, class Plain>
ssize_t transfer_now(int fd, short event, Offer offer, Plain plain) noexcept {
    const ssize_t done = offer();
    if (done >= 0 || (!would_block(errno) && errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL)) return done;
    const bool refused = would_block(errno);
    if (is_file(fd)) return plain();
    if (refused) return -1;
    // A kind that cannot promise it (terminals): look, then do it.
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0) return -1;
    if (!(flags & O_NONBLOCK)) {
        pollfd look{fd, event, 0};
        if (poll(&look, 1, 0) == 0) {
            errno = EAGAIN;
            return -1;
        }
    }
    return plain();
}

}  // namespace

FdEnd wait_fd(int fd, Interest interest, Instant deadline) noexcept {
    if (fd < 0) return {FdStatus::failed, EBADF};  // poll(2) would pass it over
    pollfd look{fd, static_cast<short>(interest == Interest::read ? POLLIN : POLLOUT), 0};
    if (poll(&look, 1, 0) > 0) {
        if (look.revents & POLLNVAL) return {FdStatus::failed, EBADF};
        return {FdStatus::ready};
    }
    if (has_passed(deadline)) return {FdStatus::timed_out};
    return park_for(fd, fd, interest, deadline);
}

FdEnd wait_fd(OwnedFd& fd, Interest interest, Instant deadline) noexcept {
    if (has_passed(deadline)) return {FdStatus::timed_out};
    return park_for(fd, fd.fd(), interest, deadline);
}

FdEnd wait_any_fd(pollfd* fds, std::size_t size, Instant deadline, int& count) noexcept {
    Worker& worker = *this_worker();
    Reactor& reactor = reactor_of(worker);
    auto waits = std::unique_ptr<ParkedWait[]>();
    for (;;) {
        count = poll(fds, size, 0);
        if (count < 0 && errno != EINTR) return {FdStatus::failed, errno};
        if (count > 0) return {FdStatus::ready};
        if (has_passed(deadline)) return {FdStatus::timed_out};
        if (!waits) waits.reset(new (std::nothrow) ParkedWait[2 * size + 1]);
        if (!waits) return {FdStatus::failed, ENOMEM};
        Instant until = deadline;
        FdEnd end;
        std::size_t used = 0;
        for (std::size_t i = 0; i < size && end.status == FdStatus::ready; ++i) {
            if (fds[i].fd < 0) continue;
            FdRecord* record = record_of(fds[i].fd);
            if (!record) end = {FdStatus::failed, ENOMEM};
            if ((fds[i].events & (POLLIN | POLLOUT)) == 0)
                until = std::min(deadline, worker.driver().now() + std::chrono::milliseconds(50));
            for (const Interest interest : {Interest::read, Interest::write}) {
                if (!record || !(fds[i].events & (interest == Interest::read ? POLLIN : POLLOUT))) continue;
                ParkedWait& wait = waits[used++];
                wait.fired = wait.closed = false;
                wait.opening = join_opening(*record, worker);
                const int error = reactor.add(wait, fds[i].fd, interest);
                if (error == EBADF) until = worker.driver().now();  // closed meanwhile: poll() says so (POLLNVAL)
                else if (error) end = {FdStatus::failed, error};
            }
        }
        Parked parked;
        if (end.status == FdStatus::ready) parked = worker.park(WaitReason::fd, until);
        while (used > 0) reactor.remove(waits[--used]);
        if (parked.requested) return {FdStatus::exit_requested};
        if (end.status != FdStatus::ready) return end;
    }
}

// ---- one of several -----------------------------------------------------------------------------------------------------

bool FdWatch::look(FdEnd& end) noexcept {
    end = end_;
    if (end.status != FdStatus::ready) return true;
    if (fd_ < 0) {
        end = {FdStatus::failed, EBADF};
        return true;
    }
    pollfd look{fd_, static_cast<short>(interest_ == Interest::read ? POLLIN : POLLOUT), 0};
    const int count = poll(&look, 1, 0);
    if (count < 0 && errno != EINTR) end = {FdStatus::failed, errno};
    else if (count > 0 && (look.revents & POLLNVAL)) end = {FdStatus::failed, EBADF};
    return count > 0 || end.status != FdStatus::ready;
}

bool FdWatch::watch(Actor& actor) noexcept {
    actor_ = &actor;
    FdRecord* record = record_of(fd_);
    if (!record) {
        end_ = {FdStatus::failed, ENOMEM};
        return false;
    }
    opening = join_opening(*record, *actor.worker);
    const int error = reactor_of(*actor.worker).add(*this, fd_, interest_);
    if (error) end_ = {FdStatus::failed, error};
    return error == 0;
}

void FdWatch::unwatch() noexcept { reactor_of(*actor_->worker).remove(*this); }

void FdWatch::fire(FdWait& wait, Ready ready) {
    auto& it = static_cast<FdWatch&>(wait);
    if (ready == Ready::closed) it.end_ = {FdStatus::closed};
    it.actor_->worker->wake(*it.actor_);
}

// ---- transfers ----------------------------------------------------------------------------------------------------------

FdEnd read_fd(int fd, void* data, std::size_t size, Instant deadline, std::size_t& got) noexcept {
    got = 0;
    for (;;) {
        const ssize_t done = transfer_now(
            fd, POLLIN,
            [&] {
                const iovec part{data, size};
                return preadv2(fd, &part, 1, -1, RWF_NOWAIT);
            },
            [&] { return read(fd, data, size); });
        if (done >= 0) {
            got = static_cast<std::size_t>(done);
            return {};
        }
        if (errno == EINTR) continue;
        if (!would_block(errno)) return {FdStatus::failed, errno};
        const FdEnd end = wait_fd(fd, Interest::read, deadline);
        if (end.status != FdStatus::ready) return end;
    }
}

FdEnd write_fd(int fd, const void* data, std::size_t size, Instant deadline, std::size_t& written) noexcept {
    written = 0;
    const char* bytes = static_cast<const char*>(data);
    for (;;) {
        const ssize_t done = transfer_now(
            fd, POLLOUT,
            [&] {
                const iovec part{const_cast<char*>(bytes + written), size - written};
                return pwritev2(fd, &part, 1, -1, RWF_NOWAIT);
            },
            // A terminal that is ready takes at least this much.
            [&] {
                return write(fd, bytes + written, std::min<std::size_t>(size - written, is_file(fd) ? SIZE_MAX : 512));
            });
        if (done >= 0) {
            written += static_cast<std::size_t>(done);
            if (written >= size) return {};
            continue;
        }
        if (errno == EINTR) continue;
        if (!would_block(errno)) return {FdStatus::failed, errno};
        const FdEnd end = wait_fd(fd, Interest::write, deadline);
        if (end.status != FdStatus::ready) return end;
    }
}

int close_fd(int fd, Scheduler* scheduler) noexcept {
    if (fd < 0) return EBADF;
    FdRecord* record = record_of(fd);
    if (!record) return close(fd) == 0 ? 0 : errno;  // then nobody waits for it either
    std::uint64_t word = settled(*record);
    // Acq_rel: of two closers one goes on, the other waits for it.
    while (!record->word.compare_exchange_weak(word, word + kOneOpening, memory_order_acq_rel)) word = settled(*record);
    if (Worker* worker = this_worker()) reactor_of(*worker).forget(fd);
    const int error = close(fd) == 0 || errno == EINTR ? 0 : errno;
    const std::uint32_t next = opening_in(word) + 2;
    // Release pairs with settled(). Nobody notes a worker while the count is odd: `word` has them all.
    record->word.store(std::uint64_t{next} << 32, memory_order_release);
    tell_watchers(word, fd, next, scheduler);
    return error;
}

void abandon_fd(int fd, Scheduler* scheduler) noexcept {
    FdRecord* record = record_of(fd);
    if (!record) return;
    std::uint64_t word = settled(*record);
    std::uint32_t next = 0;
    do {
        if (is_closing(word)) word = settled(*record);
        next = opening_in(word) + 2;
    } while (!record->word.compare_exchange_weak(word, std::uint64_t{next} << 32, memory_order_acq_rel));
    if (Worker* worker = this_worker()) reactor_of(*worker).forget(fd);
    tell_watchers(word, fd, next, scheduler);
}

}  // namespace smarm
