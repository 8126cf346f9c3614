#include "smarm/interp/unjoined_failures.h"

#include <list>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <utility>

#include "smarm/interp/failure_report.h"
#include "smarm/interp/interpreter_state.h"
#include "smarm/interp/py_actor.h"
#include "smarm/interp/requested_exception.h"
#include "smarm/sched/scheduler.h"

namespace smarm {
namespace {

constexpr Duration kGrace = std::chrono::seconds(1);
constexpr Duration kRound = std::chrono::milliseconds(100);

struct Failure {
    Ref<JoinState> join;
    Instant due;
};

// The failures of one worker's actors that are in their grace.
struct Home {
    std::list<Failure> in_grace;
    bool watched = false;  // a Round of that worker is armed
};

std::mutex failures_mutex;  // guards these
Home homes[kMaxWorkers];
std::list<Failure> due_failures;

// Looks at the failures of its worker again and again while there are any: what was joined goes soon, with what it
// holds. Frees itself.
struct Round final : TimerNode {
    Round() noexcept : TimerNode(end) {}
    static void end(TimerNode& node) noexcept;
};

// Under the lock. Forgets what was joined; true: something is due now.
bool look_at(Home& home, Instant now) noexcept {
    const auto before = due_failures.size();
    for (auto it = home.in_grace.begin(); it != home.in_grace.end();) {
        const auto failure = it++;
        if (failure->join->settled()) home.in_grace.erase(failure);
        else if (now < failure->due) continue;
        else if (failure->join->is_expected()) failure->due = deadline_after(now, kGrace);
        else due_failures.splice(due_failures.end(), home.in_grace, failure);
    }
    home.watched = !home.in_grace.empty();
    return due_failures.size() != before;
}

// An actor that writes the reports: it runs Python code, which may park.
void spawn_reporter(Worker& worker) {
    PyObject* function = PyDict_GetItemString(interpreter_state()->names, "_report_failures");  // borrowed
    PyObject* arguments = function ? PyTuple_New(0) : nullptr;
    if (!arguments) return drop_exception();
    auto name = std::make_shared<const std::string>("reporter of failures");
    auto join = make_shared_ref<JoinState>(false);
    std::unique_ptr<Actor> actor =
        std::make_unique<PyActor>(PyActor::Start{Py_NewRef(function), arguments, nullptr, nullptr}, join);
    actor->name = std::move(name);
    if (!worker.scheduler().spawn(actor, Scheduler::Place::local)) actor->cancelled(false);
}

void Round::end(TimerNode& node) noexcept {
    std::unique_ptr<Round> round(&static_cast<Round&>(node));
    Worker& worker = *this_worker();
    if (worker.closing()) return;  // the end of the run reports it
    const Instant now = worker.driver().now();
    std::unique_lock guard(failures_mutex);
    Home& home = homes[worker.index()];
    const bool any_due = look_at(home, now);
    if (home.watched) worker.arm_timer(*round.release(), deadline_after(now, kRound));
    guard.unlock();
    if (!any_due) return;
    try {
        spawn_reporter(worker);
    } catch (const std::bad_alloc&) {  // the next one reports it, or the end of the run
    }
}

}  // namespace

void note_unjoined_failure(const Ref<JoinState>& join) noexcept {
    Worker* worker = this_worker();
    if (!worker) return;
    const Instant now = worker->driver().now();
    try {
        std::list<Failure> one;
        one.push_back({join, deadline_after(now, kGrace)});
        auto round = worker->simulation() ? nullptr : std::make_unique<Round>();
        std::lock_guard guard(failures_mutex);
        Home& home = homes[worker->index()];
        home.in_grace.splice(home.in_grace.end(), one);
        if (round && !std::exchange(home.watched, true))
            worker->arm_timer(*round.release(), deadline_after(now, kRound));
    } catch (const std::bad_alloc&) {}
}

void report_unjoined_failures(bool all) {
    std::list<Failure> now;
    {
        std::lock_guard guard(failures_mutex);
        now.swap(due_failures);
        for (Home& home : homes) {
            if (!all) break;
            now.splice(now.end(), home.in_grace);
            home.watched = false;
        }
    }
    for (const Failure& failure : now) {
        if (failure.join->take_report()) report_failure(*failure.join->reason());
    }
}

}  // namespace smarm
