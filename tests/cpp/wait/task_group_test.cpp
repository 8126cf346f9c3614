#include "smarm/wait/task_group.h"

#include <vector>

#include <doctest/doctest.h>

#include "../support/test_scheduler.h"

using namespace smarm;
using namespace smarm::testing;

namespace {

Ref<JoinState> child_of(TaskGroup& group, std::uint32_t index) {
    auto state = make_shared_ref<JoinState>(true);
    group.add(Pid{index, 1}, *state);
    return state;
}

}  // namespace

TEST_CASE("a group counts its children until the last has ended") {
    TestScheduler<VirtualDriver> alone;
    alone.run([] {
        auto group = make_shared_ref<TaskGroup>();
        group->open(Duration::zero());
        auto first = child_of(*group, 1);
        auto second = child_of(*group, 2);
        CHECK(group->running() == 2);
        first->finish(OutcomeKind::returned, Message());
        const Pid last = spawn_here([&] { second->finish(OutcomeKind::returned, Message()); });
        while (group->running()) group->wait_for_change();
        CHECK_FALSE(group->first_failure());
        CHECK_FALSE(this_actor()->requests.scope_expired());
        join(last);
        group->close_scope();
    });
}

TEST_CASE("the first failure cuts the owner's block short; ends after a cancel are none") {
    TestScheduler<VirtualDriver> alone;
    alone.run([] {
        auto group = make_shared_ref<TaskGroup>();
        group->open(Duration::zero());
        auto first = child_of(*group, 1);
        auto second = child_of(*group, 2);
        spawn_here([&] { second->finish(OutcomeKind::killed, Message()); });
        CHECK(park() == Wake::exit_requested);
        CHECK(CancelScope::take_expired(*this_actor()) == group->scope_id());
        CHECK(group->first_failure() == Pid{2, 1});
        group->wait_for_change();  // returns at once: the group is to be cancelled first
        group->mark_cancelled();
        first->finish(OutcomeKind::failed, Message());
        CHECK(group->first_failure() == Pid{2, 1});
        CHECK(group->running() == 0);
        group->close_scope();
    });
}

TEST_CASE("a child that has ended before it is added is not missed") {
    TestScheduler<VirtualDriver> alone;
    alone.run([] {
        auto group = make_shared_ref<TaskGroup>();
        group->open(Duration::zero());
        auto state = make_shared_ref<JoinState>(false);
        state->finish(OutcomeKind::failed, Message());
        group->add(Pid{5, 1}, *state);
        CHECK(group->running() == 0);
        CHECK(group->first_failure() == Pid{5, 1});
        CHECK(this_actor()->requests.scope_expired());
        group->close_scope();
        CHECK_FALSE(this_actor()->requests.scope_expired());
    });
}

TEST_CASE("failures on other workers reach the owner, also one that is not looking") {
    TestScheduler<> workers(3);
    workers.run([] {
        for (int round = 0; round < 50; ++round) {
            auto group = make_shared_ref<TaskGroup>();
            group->open(Duration::zero());
            std::vector<Pid> pids;
            for (std::uint32_t i = 1; i <= 6; ++i) {
                pids.push_back(spawn_on(i % 3, [state = child_of(*group, i), fails = i % 2 == 0] {
                    state->finish(fails ? OutcomeKind::failed : OutcomeKind::returned, Message());
                }));
            }
            wait_until([&] { return this_actor()->requests.scope_expired() || group->running() == 0; });
            while (group->running()) {
                if (group->first_failure()) group->mark_cancelled();
                group->wait_for_change();
            }
            CHECK(group->first_failure());
            if (round % 2) group->close_scope();  // before the notice may have come
            for (Pid pid : pids) wait_until([&] { return scheduler().table().find_home(pid) == ActorTable::kNobody; });
            group->close_scope();
        }
    });
}
