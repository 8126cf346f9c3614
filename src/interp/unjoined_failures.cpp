#include "smarm/interp/unjoined_failures.h"

#include <list>
#include <mutex>
#include <new>
#include <string>
#include <utility>

#include "smarm/interp/failure_report.h"
#include "smarm/interp/interpreter_state.h"
#include "smarm/interp/py_actor.h"
#include "smarm/sched/scheduler.h"

namespace smarm {
namespace {

constexpr Duration kGrace = std::chrono::seconds(1);

using Failures = std::list<Ref<JoinState>>;

std::mutex failures_mutex;  // guards the two
Failures in_grace;
Failures due;

// Armed on the worker of the failed actor; frees itself.
struct Grace final : TimerNode {
    explicit Grace(Failures::iterator its_place) noexcept : TimerNode(end), place(its_place) {}
    static void end(TimerNode& node) noexcept;
    Failures::iterator place;  // in in_grace
};

// An actor that writes the reports: it runs Python code, which may park.
void spawn_reporter(Worker& worker) {
    PyObject* function = PyDict_GetItemString(interpreter_state()->names, "_report_failures");  // borrowed
    PyObject* arguments = function ? PyTuple_New(0) : nullptr;
    if (!arguments) return PyErr_Clear();
    auto join = make_shared_ref<JoinState>(false);
    std::unique_ptr<Actor> actor =
        std::make_unique<PyActor>(PyActor::Start{Py_NewRef(function), arguments, nullptr, nullptr}, join);
    actor->name = std::make_shared<const std::string>("reporter of failures");
    if (!worker.scheduler().spawn(actor, Scheduler::Place::local)) actor->cancelled(false);
}

void Grace::end(TimerNode& node) noexcept {
    std::unique_ptr<Grace> grace(&static_cast<Grace&>(node));
    Worker& worker = *this_worker();
    if (worker.closing()) return;  // the end of the run reports it
    const bool expected = (*grace->place)->is_expected();
    if (expected && !(*grace->place)->settled())
        return worker.arm_timer(*grace.release(), deadline_after(worker.driver().now(), kGrace));
    {
        std::lock_guard guard(failures_mutex);
        if ((*grace->place)->settled()) {
            in_grace.erase(grace->place);
            return;
        }
        due.splice(due.end(), in_grace, grace->place);
    }
    try {
        spawn_reporter(worker);
    } catch (const std::bad_alloc&) {  // the next one reports it, or the end of the run
    }
}

}  // namespace

void note_unjoined_failure(const Ref<JoinState>& join) noexcept {
    Worker* worker = this_worker();
    if (!worker) return;
    try {
        Failures one{join};
        auto grace = worker->simulation() ? nullptr : std::make_unique<Grace>(one.begin());
        {
            std::lock_guard guard(failures_mutex);
            in_grace.splice(in_grace.end(), one);
        }
        if (grace) worker->arm_timer(*grace.release(), deadline_after(worker->driver().now(), kGrace));
    } catch (const std::bad_alloc&) {}
}

void report_unjoined_failures(bool all) {
    Failures now;
    {
        std::lock_guard guard(failures_mutex);
        now.swap(due);
        if (all) now.splice(now.end(), in_grace);
    }
    for (const Ref<JoinState>& join : now) {
        if (join->take_report()) report_failure(*join->reason());
    }
}

}  // namespace smarm
