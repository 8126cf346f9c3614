// Every system call and every allocation fails once, at each place: a clean error or success, nothing kept, no hang.
#include "fail_nth.h"

#include <system_error>
#include <vector>

#include <doctest/doctest.h>
#include <unistd.h>

#include "../support/reactors.h"
#include "../support/test_scheduler.h"
#include "smarm/sched/signals.h"
#include "smarm/wait/fd.h"

using namespace smarm;
using namespace smarm::testing;
using namespace std::chrono_literals;

namespace {

// Counts on across failures of what a scenario spawns.
struct Tally {
    atomic<int> spawned{0};
    atomic<int> ran{0};
};

// The main actor: the scheduler stops when it has ended, also without having run.
class Main final : public NativeActor {
public:
    Main(Scheduler& scheduler, std::function<void()> function)
        : NativeActor([&scheduler, function = std::move(function)] {
              struct Stop {
                  Scheduler& scheduler;
                  ~Stop() { scheduler.stop(); }
              } stop{scheduler};
              function();
          }),
          scheduler_(scheduler) {}
    void cancelled(bool) noexcept override { scheduler_.stop(); }

private:
    Scheduler& scheduler_;
};

bool is_linked(const Actor& self, Pid pid) {
    if (!self.relations) return false;
    const auto found = self.relations->links.find(pid);
    return found != self.relations->links.end() && found->second == 0;  // else it is being unlinked
}

// Links, monitors, unlinks: what fails has changed nothing.
void relate(Actor& self, Pid pid) {
    try {
        relations_of(self).trap_exit = true;
        link(self, pid);
    } catch (const std::bad_alloc&) {
        CHECK(!is_linked(self, pid));
    }
    const MonitorRef ref = make_monitor_ref();
    try {
        monitor(self, pid, ref);
        demonitor(self, ref);
    } catch (const std::bad_alloc&) {
        CHECK((!self.relations || !self.relations->watching.contains(ref)));
    }
    const bool was_linked = is_linked(self, pid);
    try {
        if (pid.index % 2) unlink(self, pid);
    } catch (const std::bad_alloc&) {
        CHECK(is_linked(self, pid) == was_linked);
    }
}

// What the main actor of a scenario does.
void exchange(Tally& tally) {
    std::vector<Pid> pids;
    pids.reserve(8);
    for (unsigned i = 0; i < 8; ++i) {
        auto body = [&tally] {
            struct Ran {
                Tally& tally;
                ~Ran() { tally.ran.fetch_add(1, memory_order_relaxed); }
            } ran{tally};
            std::uint64_t number = 0;
            if (receive_number(number)) sleep_for(std::chrono::microseconds(number));
        };
        const Pid pid = i % 2 ? spawn_on(1, body) : i % 4 ? spawn_shared(body) : spawn_here(body);
        if (!pid) continue;  // refused: no memory, no thread
        tally.spawned.fetch_add(1, memory_order_relaxed);
        pids.push_back(pid);
    }
    for (const Pid pid : pids) {
        try {
            if (!send_number(pid, 50)) request_exit(pid);
        } catch (const std::bad_alloc&) {
            request_exit(pid);
        }
    }
    for (const Pid pid : pids) relate(*this_actor(), pid);
    int ends[2];
    if (pipe(ends) == 0) {
        (void)!write(ends[1], "x", 1);
        wait_fd(ends[0], Interest::read, from_now(1ms));
        close(ends[0]);
        close(ends[1]);
    }
    sleep_for(1ms);
}

// Starts a scheduler, lets actors of two workers talk, and stops it.
void scenario() {
    Tally tally;
    try {
        SchedulerOptions options;
        options.workers = 2;
        options.stacks.allow_guard_install = false;  // so that mprotect is called, too
        with_reactors(options);
        Scheduler scheduler(std::move(options));
        if (!scheduler.ensure_worker(0)) return;
        if (!spawn(scheduler, std::make_unique<Main>(scheduler, [&] { exchange(tally); }), Scheduler::Place::on_worker,
                   0))
            return;
        scheduler.run_main();
    } catch (const std::bad_alloc&) {
    } catch (const std::system_error&) {}
    CHECK(tally.ran.load() <= tally.spawned.load());
}

// The kernel takes a joined thread off its list a moment later: waits for that.
Holdings settled_holdings(long threads) {
    Holdings holdings = Holdings::now();
    for (int i = 0; holdings.threads > threads && i < 1'000'000; ++i) holdings = Holdings::now();
    return holdings;
}

}  // namespace

TEST_CASE("whatever fails, wherever: an error, nothing kept, no hang") {
    const long threads = Holdings::now().threads;
    scenario();  // what is made once per process
    for (const Failing kind : kAllFailing) {
        unsigned n = 1;
        for (;; ++n) {
            CAPTURE(std::string(name_of(kind)));
            CAPTURE(n);
            bool happened = false;
            const Holdings before = settled_holdings(threads);
            {
                FailNth fail(kind, n);
                scenario();
                happened = fail.happened();
            }
            const Holdings after = settled_holdings(threads);
            REQUIRE(after.mapped == before.mapped);
            REQUIRE(after.blocks == before.blocks);
            REQUIRE(after.descriptors == before.descriptors);
            REQUIRE(after.threads == before.threads);
            if (!happened) break;
            REQUIRE(n < 5000);
        }
        MESSAGE(std::string(name_of(kind)), " failed at each of ", n - 1, " calls");
        if (kind != Failing::madvise) CHECK(n > 1);
    }
}
