// The reactor. Each fd has at most one epoll registration. That of an fd which we know by its number only is
// EPOLLONESHOT: it reports once and is then disarmed, so that an fd nobody waits for costs nothing, and one that was
// closed behind our back cannot spin. That of an owned fd is edge-triggered and stays: what it reports is remembered in
// FdReadiness::seen until the owner has read it all, so that the owner can tell whether a try is worth its system call
// (as nginx does).
//
// A stale event never fires a newer wait: every arming of an fd gets a new number, the kernel hands the number back
// with the event, and an event whose number is not the fd's latest is dropped. Nothing is lost by that: arming makes
// the kernel look at the readiness anew.
//
// A file may leave its number without a word to us: C code closes it, another file is dup2ed over it, the number is
// used again. The kernel knows: it files a registration under the open file AND the number, and refuses to register
// that pair twice. So an EPOLL_CTL_ADD that is refused with EEXIST says that the number still is the file's, and
// changes nothing; see is_registered(). That is asked before another wait joins those that are there, before an event
// fires waits that know the file by its number only (its old file may live on under another number), and of all that is
// waited for once a second. What has lost its file is fired as closed. A call that waits again knows by a count of the
// number's files whether it is still for the same.
//
// The eventfd is edge-triggered: each write is an event of its own, so it need never be read.
#include "smarm/wait/reactor.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <ctime>
#include <new>
#include <vector>

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "smarm/base/assert.h"
#include "smarm/base/own_descriptor.h"

namespace smarm {
namespace {

constexpr int kEventsAtOnce = 128;
// Each wait is looked after so often, a step of so many fds at a time: it takes a worker about 0.2 ms.
constexpr Duration kSweepPause = std::chrono::milliseconds(900);
constexpr std::size_t kSweepStep = 1024;
constexpr std::uint64_t kWakeKey = ~std::uint64_t{0};  // its fd would be -1

std::uint64_t next_id() noexcept {
    static atomic<std::uint64_t> last{0};
    return last.fetch_add(1, memory_order_relaxed) + 1;
}

std::uint64_t key_of(int fd, std::uint32_t number) noexcept {
    return std::uint64_t{number} << 32 | static_cast<std::uint32_t>(fd);
}

}  // namespace

struct Reactor::Impl {
    using Waits = List<FdWait>;

    // What the reactor knows of one fd number.
    struct FdState : FdReadiness {  // number: of the latest arming; watched, seen: lasting registrations only
        Waits readers;
        Waits writers;
        std::uint32_t armed = 0;    // one-shot: events that the kernel will report, once; 0 when nobody counts on any
        std::uint32_t opening = 0;  // FdWait::opening of the latest wait
        std::uint32_t file = 1;     // counts the files that the number was found to have had
        bool known = false;         // the kernel had a registration when we last looked
        bool lasting = false;       // it is an owner's

        bool has_waits() const noexcept { return !readers.empty() || !writers.empty(); }
        std::uint32_t wanted() const noexcept {
            return (readers.empty() ? 0u : std::uint32_t{EPOLLIN}) | (writers.empty() ? 0u : std::uint32_t{EPOLLOUT});
        }
    };

    FdState* find(int fd) noexcept;
    int make(int fd) noexcept;
    int enlist(FdWait& wait, int fd, Interest interest) noexcept;
    int arm(FdState& state, int fd) noexcept;
    int control(FdState& state, int fd, std::uint32_t events) noexcept;
    void unlink(FdWait& wait) noexcept;
    static void move_all(Waits& from, Waits& to) noexcept;
    bool fire_all(Waits& waits, Ready ready) noexcept;
    bool is_registered(int fd) noexcept;
    bool retire(FdState& state, int fd) noexcept;
    bool sweep(Instant now) noexcept;
    template <class Ends>
    void end_some(int fd, Ends ends) noexcept;
    bool deliver(int fd, std::uint32_t events) noexcept;
    int collect(Duration timeout, bool& fired) noexcept;
    int wait_for_events(Duration timeout) noexcept;

    int epoll_fd = -1;
    int wake_fd = -1;
    bool exact_timeouts = true;  // the kernel has epoll_pwait2
    bool woken = false;          // poll() saw a wake() that wait() has not returned for
    bool collecting = false;
    atomic<std::size_t> registered{0};          // waits in all lists; relaxed: others only ask whether there are any
    std::vector<std::unique_ptr<FdState>> fds;  // indexed by fd; states stay where they are
    Waits firing;                               // of firing_fd, about to fire
    int firing_fd = -1;
    Instant next_sweep{};   // of the next step
    std::size_t swept = 0;  // where the last one ended
    epoll_event events[kEventsAtOnce];
};

Reactor::Impl::FdState* Reactor::Impl::find(int fd) noexcept {
    return fd >= 0 && static_cast<std::size_t>(fd) < fds.size() ? fds[static_cast<std::size_t>(fd)].get() : nullptr;
}

// Makes the state of an fd. Returns 0 or errno.
int Reactor::Impl::make(int fd) noexcept {
    // A number that is no open fd must not size the table.
    if (fcntl(fd, F_GETFD) < 0) return errno;
    const auto index = static_cast<std::size_t>(fd);
    try {
        if (index >= fds.size()) fds.resize(index + 1);
        fds[index] = std::make_unique<FdState>();
    } catch (const std::bad_alloc&) {
        return ENOMEM;
    }
    return 0;
}

// Puts the wait into the list of its fd. Returns 0 or errno.
int Reactor::Impl::enlist(FdWait& wait, int fd, Interest interest) noexcept {
    SMARM_ASSERT(!wait.registered(), "an fd wait can be registered only once");
    if (!find(fd)) {
        if (const int error = make(fd)) return error;
    }
    FdState& state = *find(fd);
    // Another file has got the number: what we know is about the last one.
    if (state.has_waits() && (state.opening != wait.opening || !is_registered(fd))) retire(state, fd);
    if (state.opening != wait.opening) {
        state.opening = wait.opening;
        state.armed = 0;
    }
    Waits& waits = interest == Interest::read ? state.readers : state.writers;
    waits.push_back(wait);
    wait.home_ = &waits;
    wait.fd_ = fd;
    registered.store(registered.load(memory_order_relaxed) + 1, memory_order_relaxed);
    return 0;
}

// Makes the kernel report what the waits on `fd` want, once. Returns 0 or errno.
int Reactor::Impl::arm(FdState& state, int fd) noexcept {
    const std::uint32_t wanted = state.wanted();
    if (!state.lasting && (wanted & ~state.armed) == 0) return 0;
    if (const int error = control(state, fd, wanted | EPOLLONESHOT)) return error;
    state.armed = wanted;
    state.lasting = false;
    state.watched = 0;
    return 0;
}

// Changes the registration, or makes it; the kernel looks at the readiness anew. Returns 0 or errno.
int Reactor::Impl::control(FdState& state, int fd, std::uint32_t events) noexcept {
    epoll_event event{};
    event.events = events;
    event.data.u64 = key_of(fd, state.number + 1);
    bool failed = epoll_ctl(epoll_fd, state.known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) != 0;
    // We were wrong about the registration: the fd was closed and opened anew without forget().
    if (failed && errno == (state.known ? ENOENT : EEXIST)) {
        if (state.known) ++state.file;
        failed = epoll_ctl(epoll_fd, state.known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event) != 0;
    }
    if (failed) return errno;
    ++state.number;
    state.known = true;
    return 0;
}

void Reactor::Impl::unlink(FdWait& wait) noexcept {
    wait.home_->remove(wait);
    wait.home_ = nullptr;
    registered.store(registered.load(memory_order_relaxed) - 1, memory_order_relaxed);
}

void Reactor::Impl::move_all(Waits& from, Waits& to) noexcept {
    while (FdWait* wait = from.pop_front()) {
        to.push_back(*wait);
        wait->home_ = &to;
    }
}

// Fires until the list is empty. The functions called may remove others from it.
bool Reactor::Impl::fire_all(Waits& waits, Ready ready) noexcept {
    const bool any = !waits.empty();
    while (FdWait* wait = waits.front()) {
        unlink(*wait);
        wait->fire_(*wait, ready);
    }
    return any;
}

// Whether the file that we registered under this number still has it.
bool Reactor::Impl::is_registered(int fd) noexcept {
    epoll_event nothing{};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &nothing) != 0) return errno == EEXIST;
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, nullptr);
    return false;
}

// Fires all waits as closed and counts on no registration any more. Returns whether there were waits.
bool Reactor::Impl::retire(FdState& state, int fd) noexcept {
    state.known = false;
    state.armed = 0;
    ++state.file;
    ++state.number;  // an owner that comes back registers anew, and events that are under way are stale
    state.lasting = false;
    Waits closing;
    if (firing_fd == fd) move_all(firing, closing);
    move_all(state.readers, closing);
    move_all(state.writers, closing);
    return fire_all(closing, Ready::closed);
}

// Retires the fds of the next step that have lost their file. Returns whether any wait fired.
bool Reactor::Impl::sweep(Instant now) noexcept {
    bool any = false;
    std::size_t asked = 0;
    for (std::size_t i = 0; i < fds.size() && asked < kSweepStep; ++i) {
        swept = swept + 1 < fds.size() ? swept + 1 : 0;
        FdState* state = fds[swept].get();
        if (!state || !state->has_waits()) continue;
        ++asked;
        if (!is_registered(static_cast<int>(swept))) any |= retire(*state, static_cast<int>(swept));
    }
    const std::size_t steps = 1 + registered.load(memory_order_relaxed) / kSweepStep;
    next_sweep = now + kSweepPause / static_cast<Duration::rep>(steps);
    return any;
}

// Fires the waits that these events concern. Returns whether there were any.
bool Reactor::Impl::deliver(int fd, std::uint32_t events) noexcept {
    FdState& state = *find(fd);
    if (!state.lasting && state.has_waits() && !is_registered(fd)) return retire(state, fd);
    if (state.lasting) state.seen |= events;
    else state.armed = 0;
    firing_fd = fd;
    if (events & kReadEvents) move_all(state.readers, firing);
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) move_all(state.writers, firing);
    bool any = fire_all(firing, Ready::ready);
    firing_fd = -1;
    if (!state.lasting && arm(state, fd) != 0) {
        // The others cannot be served any more; trying again tells them why.
        Waits stranded;
        move_all(state.readers, stranded);
        move_all(state.writers, stranded);
        any |= fire_all(stranded, Ready::ready);
    }
    return any;
}

// Takes what the kernel has, waiting for it at most `timeout`. Returns 0 when it was the time that ended the wait.
int Reactor::Impl::collect(Duration timeout, bool& fired) noexcept {
    SMARM_ASSERT(!collecting, "a fired wait called poll() or wait()");
    collecting = true;
    const int count = wait_for_events(timeout);
    SMARM_ASSERT(count >= 0 || errno == EINTR, "the reactor's epoll fd is broken: did somebody close it?");
    for (int i = 0; i < count; ++i) {
        const std::uint64_t key = events[i].data.u64;
        const int fd = static_cast<int>(static_cast<std::uint32_t>(key));
        if (key == kWakeKey) woken = true;
        else if (find(fd)->number == key >> 32) fired |= deliver(fd, events[i].events);
    }
    collecting = false;
    return count;
}

// Duration::max() is for ever. Returns the number of events, or -1 with errno.
int Reactor::Impl::wait_for_events(Duration timeout) noexcept {
    const bool forever = timeout == Duration::max();
    if (exact_timeouts && timeout > Duration::zero()) {
        timespec relative{};
        relative.tv_sec = timeout.count() / 1'000'000'000;
        relative.tv_nsec = timeout.count() % 1'000'000'000;
        // The bare system call: glibc has a function for it only since 2.35.
        const long count = syscall(SYS_epoll_pwait2, epoll_fd, events, kEventsAtOnce, forever ? nullptr : &relative,
                                   nullptr, std::size_t{0});
        // EPERM is what some containers answer to calls they do not know.
        if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return static_cast<int>(count);
        exact_timeouts = false;
    }
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
    return epoll_wait(epoll_fd, events, kEventsAtOnce, forever ? -1 : static_cast<int>(ms < INT_MAX ? ms : INT_MAX));
}

Reactor::Reactor() : id_(next_id()), impl_(std::make_unique<Impl>()) {}

Reactor::~Reactor() {
    SMARM_ASSERT(!is_watching(), "a reactor died with waits registered");
    if (impl_->wake_fd >= 0) close(impl_->wake_fd);
    if (impl_->epoll_fd >= 0) close(impl_->epoll_fd);
}

int Reactor::start() noexcept {
    SMARM_ASSERT(impl_->epoll_fd < 0, "a reactor can be started once");
    const int epoll = as_own_descriptor(epoll_create1(EPOLL_CLOEXEC));
    const int wake = epoll < 0 ? -1 : as_own_descriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    event.data.u64 = kWakeKey;
    if (wake < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, wake, &event) != 0) {
        const int error = errno;
        if (wake >= 0) close(wake);
        if (epoll >= 0) close(epoll);
        return error;
    }
    impl_->epoll_fd = epoll;
    impl_->wake_fd = wake;
    return 0;
}

Instant Reactor::now() noexcept { return monotonic_now(); }

bool Reactor::poll() noexcept {
    // Without waits there is nothing to deliver; a wake() stays in the eventfd for wait().
    if (!is_watching()) return false;
    bool fired = false;
    impl_->collect(Duration::zero(), fired);
    const Instant time = monotonic_now();
    if (time >= impl_->next_sweep) fired |= impl_->sweep(time);
    return fired;
}

void Reactor::wait(Instant until) noexcept {
    bool fired = false;
    for (;;) {
        const Instant time = now();
        if (is_watching() && time >= impl_->next_sweep && impl_->sweep(time)) break;
        const Instant end = is_watching() ? std::min(until, impl_->next_sweep) : until;
        Duration timeout = Duration::max();
        if (impl_->woken) timeout = Duration::zero();
        else if (end != kNever) timeout = std::max(end - time, Duration::zero());
        if (impl_->collect(timeout, fired) != 0 || impl_->woken || end == until) break;
    }
    impl_->woken = false;
}

void Reactor::wake() noexcept {
    const int interrupted = errno;  // a signal handler must leave errno as it was
    const std::uint64_t one = 1;
    // Can fail only before start(), when there is nobody to wake.
    [[maybe_unused]] const ssize_t written = write(impl_->wake_fd, &one, sizeof one);
    errno = interrupted;
}

bool Reactor::is_watching() const noexcept { return impl_->registered.load(memory_order_relaxed) != 0; }

int Reactor::add(FdWait& wait, int fd, Interest interest) noexcept {
    if (const int error = impl_->enlist(wait, fd, interest)) return error;
    Impl::FdState& state = *impl_->find(fd);
    int error = impl_->arm(state, fd);
    if (wait.file == 0) wait.file = state.file;
    else if (!error && wait.file != state.file) error = ESTALE;
    if (error) remove(wait);
    // What is left in the kernel would make the next file of the number look like this one, if this one is put back.
    if (error == ESTALE && !state.has_waits()) forget(fd);
    return error;
}

int Reactor::add(FdWait& wait, OwnedFd& owned, Interest interest) noexcept {
    const int fd = owned.fd_;
    if (const int error = impl_->enlist(wait, fd, interest)) return error;
    Impl::FdState& state = *impl_->find(fd);
    const bool current = owned.reactor_ == id_ && state.number == owned.number_;
    const std::uint32_t wanted = interest == Interest::read ? EPOLLIN | EPOLLPRI | EPOLLRDHUP : std::uint32_t{EPOLLOUT};
    if (current && (state.watched & wanted)) return 0;
    const std::uint32_t watched = wanted | state.wanted() | (current ? state.watched : 0);
    if (const int error = impl_->control(state, fd, watched | EPOLLET)) {
        remove(wait);
        return error;
    }
    state.lasting = true;
    state.watched = watched;
    state.seen = 0;  // what is there will be reported now
    owned.number_ = state.number;
    owned.reactor_ = id_;
    owned.readiness_ = &state;
    return 0;
}

void Reactor::remove(FdWait& wait) noexcept {
    if (!wait.registered()) return;
    impl_->unlink(wait);
    Impl::FdState& state = *impl_->find(wait.fd_);
    // The kernel may stay armed: one more event that nobody waits for. The next add() must not count on it, though.
    if (state.wanted() == 0) state.armed = 0;
}

bool Reactor::has_same_file(const FdWait& wait, int fd) const noexcept {
    if (wait.file == 0) return true;
    const auto* state = impl_->find(fd);
    return state->file == wait.file && impl_->is_registered(fd);
}

void Reactor::forget(int fd) noexcept {
    Impl::FdState* state = impl_->find(fd);
    if (!state) return;
    // An error means that the fd is closed already, and then the kernel has dropped it.
    if (state->known) epoll_ctl(impl_->epoll_fd, EPOLL_CTL_DEL, fd, nullptr);
    impl_->retire(*state, fd);
}

// Fires as closed those of the waits on `fd` for which ends(wait) is true.
template <class Ends>
void Reactor::Impl::end_some(int fd, Ends ends) noexcept {
    FdState* state = find(fd);
    if (!state) return;
    Waits closing;
    for (Waits* waits : {&state->readers, &state->writers}) {
        Waits all;
        move_all(*waits, all);
        while (FdWait* wait = all.pop_front()) {
            Waits& to = ends(*wait) ? closing : *waits;
            to.push_back(*wait);
            wait->home_ = &to;
        }
    }
    fire_all(closing, Ready::closed);
    if (state->wanted() == 0) state->armed = 0;
}

void Reactor::abandon(int fd, std::uint32_t opening) noexcept {
    // Openings are counted round: the difference tells which came first.
    impl_->end_some(fd, [=](FdWait& wait) { return static_cast<std::int32_t>(wait.opening - opening) < 0; });
}

void Reactor::end_waits(int fd, const void* through) noexcept {
    impl_->end_some(fd, [=](FdWait& wait) { return wait.through == through; });
}

}  // namespace smarm
