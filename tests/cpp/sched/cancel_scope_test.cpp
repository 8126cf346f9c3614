#include "smarm/sched/cancel_scope.h"
#include "smarm/actor/shield.h"

#include <doctest/doctest.h>

#include "../support/test_scheduler.h"

using namespace smarm;
using namespace smarm::testing;
using namespace std::chrono_literals;

namespace {
using Alone = TestScheduler<VirtualDriver>;
}  // namespace

TEST_CASE("a deadline ends the park in progress, once") {
    Alone alone;
    alone.run([] {
        CancelScope scope;
        scope.open(from_now(5ms), 0s);
        CHECK(park() == Wake::exit_requested);
        CHECK(this_actor()->requests.first() == Request::scope);
        CHECK(CancelScope::take_expired(*this_actor()) == scope.id());
        CHECK(sleep_for(1ms) == Wake::timed_out);  // what cleans up can park
        scope.close();
        CHECK(scope.cut_short());
    });
}

namespace {
struct Suspendable final : CancelScope::Block {
    bool on_stack = false;
    bool is_on_stack(const Actor&) const noexcept override { return on_stack; }
    bool is_same(const Block* other) const noexcept override { return other == this; }
};
}  // namespace

TEST_CASE("a block that is off the stack is not left until it is on it again") {
    Alone alone;
    alone.run([] {
        Actor& self = *this_actor();
        Suspendable block;
        CancelScope scope;
        scope.open(from_now(1ms), 0s, &block);
        CHECK(sleep_for(5ms) == Wake::timed_out);
        CHECK(scope.cut_short());
        CHECK_FALSE(is_deliverable(self));
        CHECK(CancelScope::take_expired(self) == 0);
        block.on_stack = true;
        CHECK(is_deliverable(self));
        CHECK(park() == Wake::exit_requested);
        CHECK(CancelScope::take_expired(self) == scope.id());
        CHECK_FALSE(self.requests.scope_expired());
        scope.close();
    });
}

TEST_CASE("an exit is delivered while a block is off the stack") {
    Alone alone;
    alone.run([] {
        Actor& self = *this_actor();
        Suspendable block;
        CancelScope scope;
        scope.open(kNever, 0s, &block);
        scope.expire();
        self.worker->request_exit(self, nullptr, 0s);
        CHECK(is_deliverable(self));
        CHECK(self.worker->take_request() == Request::exit);
        CHECK_FALSE(is_deliverable(self));
        scope.close();
        CHECK_FALSE(self.requests.pending());
    });
}

TEST_CASE("what was opened after a block that comes and goes is left by itself") {
    Alone alone;
    alone.run([] {
        Actor& self = *this_actor();
        Suspendable block;
        CancelScope scope;
        CancelScope later;
        scope.open(kNever, 0s, &block);
        later.open(kNever, 0s);
        block.on_stack = true;
        scope.expire();
        later.expire();
        CHECK(CancelScope::take_expired(self) == scope.id());
        scope.close();
        CHECK(CancelScope::take_expired(self) == later.id());
        later.close();
    });
}

TEST_CASE("an expiry that nobody took ends with the scope") {
    Alone alone;
    alone.run([] {
        CancelScope scope;
        scope.open(kNever, 0s);
        scope.expire();
        CHECK(this_actor()->requests.scope_expired());
        scope.close();
        CHECK_FALSE(this_actor()->requests.scope_expired());
        CHECK(sleep_for(1ms) == Wake::timed_out);
        scope.open(from_now(1h), 0s);  // it can be used again
        CHECK_FALSE(scope.cut_short());
        scope.close();
        CHECK_FALSE(this_actor()->held);
    });
}

TEST_CASE("of expired scopes the outermost is taken, and with it those inside") {
    Alone alone;
    alone.run([] {
        Actor& self = *this_actor();
        CancelScope outer;
        CancelScope inner;
        outer.open(from_now(5ms), 0s);
        inner.open(from_now(5ms), 0s);
        CHECK(park() == Wake::exit_requested);
        CHECK(CancelScope::take_expired(self) == outer.id());
        CHECK(CancelScope::take_expired(self) == 0);
        CHECK(sleep_for(1ms) == Wake::timed_out);
        inner.close();
        outer.close();
    });
}

TEST_CASE("an inner scope ends alone, an outer one also after the inner was left") {
    Alone alone;
    alone.run([] {
        Actor& self = *this_actor();
        CancelScope outer;
        CancelScope inner;
        outer.open(from_now(10ms), 0s);
        inner.open(from_now(5ms), 0s);
        CHECK(park() == Wake::exit_requested);
        CHECK(CancelScope::take_expired(self) == inner.id());
        inner.close();
        CHECK(park() == Wake::exit_requested);
        CHECK(CancelScope::take_expired(self) == outer.id());
        outer.close();
    });
}

TEST_CASE("an exit request goes before a scope, and a shield holds both back") {
    Alone alone;
    alone.run([] {
        join(spawn_here([] {
            Actor& self = *this_actor();
            CancelScope scope;
            scope.open(kNever, 0s);
            {
                Shield shield(self);
                scope.expire();
                self.worker->request_exit(self, nullptr, 0s);
                CHECK(sleep_for(1ms) == Wake::timed_out);
            }
            CHECK(self.requests.first() == Request::exit);
            CHECK(park() == Wake::exit_requested);
            CHECK(self.requests.first() == Request::scope);
            CHECK(park() == Wake::exit_requested);
            CHECK(CancelScope::take_expired(self) == scope.id());
            scope.close();
        }));
    });
}

TEST_CASE("the end of its actor closes a scope, armed or not") {
    Alone alone;
    alone.run([] {
        CancelScope scope;
        join(spawn_here([&] { scope.open(from_now(1h), 0s); }));
        CHECK_FALSE(scope.is_open());
        CHECK(this_worker()->timers().size() == 0);
    });
}
