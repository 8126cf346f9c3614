// test_scheduler.h: a scheduler for native actors, and what such actors say in tests.
//
// What:    TestScheduler(options).run(main) runs main as an actor of worker 0 and stops when it ends. The free
//          functions speak for the running actor: spawn_here, spawn_shared, spawn_on, sleep_for, pass_turn, wait_until,
//          join_all.
// Not:     a way to wait by time: wait_until(condition) yields until the condition holds.
// Mind:    main's locals die with main: join whoever uses them before it ends.
#pragma once

#include <cstring>
#include <functional>
#include <memory>
#include <utility>

#include "smarm/sched/scheduler.h"
#include "smarm/sched/signals.h"
#include "test_driver.h"

namespace smarm::testing {

inline Scheduler& scheduler() { return this_worker()->scheduler(); }

inline Pid spawn(Scheduler& scheduler, std::unique_ptr<Actor> actor, Scheduler::Place place, unsigned worker = 0) {
    return scheduler.spawn(actor, place, worker);
}
inline Pid spawn_here(std::function<void()> function) {
    return spawn(scheduler(), std::make_unique<NativeActor>(std::move(function)), Scheduler::Place::local);
}
inline Pid spawn_shared(std::function<void()> function) {
    return spawn(scheduler(), std::make_unique<NativeActor>(std::move(function)), Scheduler::Place::shared);
}
inline Pid spawn_on(unsigned worker, std::function<void()> function) {
    return spawn(scheduler(), std::make_unique<NativeActor>(std::move(function)), Scheduler::Place::on_worker, worker);
}

// How a wait ended for an actor that is told at once what is requested of it. The end of a scope is for the test to
// take.
enum class Wake : std::uint8_t { woken, timed_out, exit_requested };
inline Wake told(bool requested) {
    if (!requested) return Wake::woken;
    if (this_actor()->requests.first() != Request::scope) this_worker()->take_request();
    return Wake::exit_requested;
}
inline Wake told(Parked parked) {
    return parked.timed_out && !parked.requested ? Wake::timed_out : told(parked.requested);
}
inline Wake park(Instant deadline = kNever) { return told(this_worker()->park(WaitReason::sleep, deadline)); }
inline Wake sleep_for(Duration duration) { return park(deadline_after(this_worker()->driver().now(), duration)); }
// A deadline. For calls that need one.
inline Instant from_now(Duration duration) { return deadline_after(this_worker()->driver().now(), duration); }
inline Wake pass_turn() { return told(this_worker()->yield()); }
inline bool request_exit(Pid pid) { return cancel(scheduler(), pid, Duration::zero()); }

// Yields until the condition holds. For what other actors, of this worker or another, are about to do.
template <class Condition>
void wait_until(Condition condition) {
    while (!condition()) pass_turn();
}
inline void join(Pid pid) {
    wait_until([&] { return scheduler().table().find_home(pid) == ActorTable::kNobody; });
}

// A parcel that carries one number.
inline OwnedParcel number_parcel(std::uint64_t number) {
    ParcelBuilder builder;
    std::memcpy(builder.append(sizeof number), &number, sizeof number);
    return builder.finish();
}
inline std::uint64_t number_in(const Parcel& parcel) {
    std::uint64_t number = 0;
    SMARM_ASSERT(parcel.size() == sizeof number, "not a number's parcel");
    std::memcpy(&number, parcel.data(), sizeof number);
    return number;
}
inline bool send_number(Pid pid, std::uint64_t number) {
    OwnedParcel parcel = number_parcel(number);
    return scheduler().send(pid, parcel) == Sent::yes;
}
// Takes the oldest message of the running actor. False: an exit was requested instead.
inline bool receive_number(std::uint64_t& number) {
    Mailbox& mailbox = this_actor()->mailbox;
    while (mailbox.empty()) {
        if (told(this_worker()->park(WaitReason::message)) == Wake::exit_requested) return false;
    }
    number = number_in(*this_actor()->take_message(0).take_parcel());
    return true;
}

template <class ItsDriver = ThreadDriver>
class TestScheduler {
public:
    using Tweak = std::function<void(SchedulerOptions&)>;

    explicit TestScheduler(unsigned workers = 1, const Tweak& tweak = {}) : scheduler_(options(workers, tweak)) {}

    Scheduler& operator*() noexcept { return scheduler_; }
    Scheduler* operator->() noexcept { return &scheduler_; }

    // Runs `main` as the first actor; when it ends, everybody else is asked to exit.
    void run(std::function<void()> main) {
        SMARM_ASSERT(scheduler_.ensure_worker(0), "no memory for a worker");
        spawn(scheduler_, std::make_unique<NativeActor>([this, main = std::move(main)] {
                  struct Stop {
                      Scheduler& scheduler;
                      ~Stop() { scheduler.stop(); }
                  } stop{scheduler_};
                  main();
              }),
              Scheduler::Place::on_worker, 0);
        scheduler_.run_main();
    }

private:
    static SchedulerOptions options(unsigned workers, const Tweak& tweak) {
        SchedulerOptions options;
        options.workers = workers;
        options.make_driver = [] { return std::make_unique<ItsDriver>(); };
        if (tweak) tweak(options);
        return options;
    }
    Scheduler scheduler_;
};

}  // namespace smarm::testing
