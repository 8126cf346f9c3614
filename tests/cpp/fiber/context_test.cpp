#include "smarm/fiber/context.h"

#include <algorithm>
#include <cfenv>
#include <exception>
#include <functional>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
#include <unwind.h>
#include <xmmintrin.h>

#include "../support/child.h"
#include "smarm/fiber/stack_pool.h"

using namespace smarm;
using smarm::testing::run_in_child;

namespace {

// A flow that runs a function on a stack of its own and is resumed by whoever owns it.
class Flow {
public:
    explicit Flow(std::function<void(Flow&)> body) : body_(std::move(body)), stack_(pool_.take()) {
        prepare(context_, stack_, run, this);
    }
    ~Flow() { pool_.give(stack_); }

    bool done() const { return done_; }
    const Stack& stack() const { return stack_; }
    // Runs until the body pauses or ends.
    void resume() { switch_context(owner_, context_); }
    // To be called by the body.
    void pause() { switch_context(context_, owner_); }

private:
    static void run(void* self) {
        Flow& flow = *static_cast<Flow*>(self);
        flow.body_(flow);
        flow.body_ = nullptr;
        flow.done_ = true;
        leave_context(flow.context_, flow.owner_);
    }

    std::function<void(Flow&)> body_;
    StackPool pool_{{.slab_bytes = StackPoolOptions{}.stack_bytes}};
    Stack stack_;
    Context context_, owner_;
    bool done_ = false;
};

template <class T>
[[gnu::noinline]] T opaque(T value) {
    asm volatile("" : "+m"(value));
    return value;
}

// Resumes unfinished flows in random order until all are done.
void run_interleaved(std::vector<std::unique_ptr<Flow>>& flows, unsigned seed) {
    std::mt19937 random(seed);
    while (!flows.empty()) {
        const std::size_t index = random() % flows.size();
        flows[index]->resume();
        if (flows[index]->done()) flows.erase(flows.begin() + static_cast<std::ptrdiff_t>(index));
    }
}

struct Ring {
    Context root;
    std::vector<Context> contexts;
    std::string trace;
};
Ring* ring = nullptr;

std::size_t backtrace_depth() {
    std::size_t frames = 0;
    _Unwind_Backtrace(
        [](_Unwind_Context*, void* count) {
            return ++*static_cast<std::size_t*>(count) < 100 ? _URC_NO_REASON : _URC_NORMAL_STOP;
        },
        &frames);
    return frames;
}

}  // namespace

TEST_CASE("a flow runs its entry with its argument, on its own stack") {
    Flow flow([](Flow& self) {
        char local = 0;
        // Under ASan locals may live in a fake stack; the frame address never does.
        CHECK(self.stack().contains(__builtin_frame_address(0)));
        CHECK(opaque(local) == 0);
    });
    flow.resume();
    CHECK(flow.done());
}

TEST_CASE("a flow continues where it stopped, with its locals") {
    std::vector<int> seen;
    Flow flow([&](Flow& self) {
        for (int i = 0; i < 3; ++i) {
            seen.push_back(i);
            self.pause();
        }
    });
    for (int i = 0; i < 4; ++i) {
        CHECK(seen.size() == static_cast<std::size_t>(i));
        CHECK_FALSE(flow.done());
        flow.resume();
    }
    CHECK(flow.done());
    CHECK(seen == std::vector<int>{0, 1, 2});
}

TEST_CASE("values in registers survive a switch") {
    auto sum_across = [](long base, auto pause) {
        // More live values than there are callee-saved registers.
        long a = opaque(base), b = opaque(base + 1), c = opaque(base + 2), d = opaque(base + 3), e = opaque(base + 4),
             f = opaque(base + 5), g = opaque(base + 6);
        pause();
        asm volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f), "+r"(g));
        return a == base && b == base + 1 && c == base + 2 && d == base + 3 && e == base + 4 && f == base + 5 &&
               g == base + 6;
    };
    bool intact = false;
    Flow flow([&](Flow& self) { intact = sum_across(1000, [&] { self.pause(); }); });
    CHECK(sum_across(2000, [&] { flow.resume(); }));
    CHECK(sum_across(3000, [&] { flow.resume(); }));
    CHECK(intact);
}

TEST_CASE("flows may switch to each other without going through their maker") {
    constexpr std::size_t kFlows = 3;
    StackPool pool;
    Ring around{.root = {}, .contexts = std::vector<Context>(kFlows), .trace = {}};
    ring = &around;
    std::vector<Stack> stacks;
    for (std::size_t i = 0; i < kFlows; ++i) {
        stacks.push_back(pool.take());
        auto entry = [](void* argument) {
            const auto self = reinterpret_cast<std::size_t>(argument);
            Context& next = self + 1 < kFlows ? ring->contexts[self + 1] : ring->contexts[0];
            for (int round = 0; round < 2; ++round) {
                ring->trace += static_cast<char>('a' + self);
                switch_context(ring->contexts[self], next);
            }
            leave_context(ring->contexts[self], self + 1 < kFlows ? next : ring->root);
        };
        prepare(around.contexts[i], stacks[i], entry, reinterpret_cast<void*>(i));
    }
    switch_context(around.root, around.contexts[0]);
    CHECK(around.trace == "abcabc");
    for (Stack stack : stacks) pool.give(stack);
}

TEST_CASE("many flows may be paused deep in calls at once") {
    // More calls in all than TSan can record for one flow.
    constexpr std::size_t kFlows = 400, kDepth = 400;
    struct Diver {
        [[gnu::noinline]] static std::size_t dive(Flow& flow, std::size_t depth) {
            if (depth == 0) flow.pause();
            return depth == 0 ? 0 : 1 + opaque(dive(flow, depth - 1));
        }
    };
    std::size_t calls = 0;
    std::vector<std::unique_ptr<Flow>> flows;
    for (std::size_t i = 0; i < kFlows; ++i) {
        flows.push_back(std::make_unique<Flow>([&](Flow& self) { calls += Diver::dive(self, kDepth); }));
        flows.back()->resume();
    }
    run_interleaved(flows, 7);
    CHECK(calls == kFlows * kDepth);
}

TEST_CASE("rounding modes belong to the flow, for SSE and for x87") {
    auto thirds = [] { return std::pair(opaque(1.0) / opaque(3.0), opaque(1.0L) / opaque(3.0L)); };
    const auto nearest = thirds();
    std::fesetround(FE_UPWARD);
    const auto upward = thirds();
    std::fesetround(FE_TONEAREST);
    REQUIRE(upward.first > nearest.first);

    Flow up([&](Flow& self) {
        std::fesetround(FE_UPWARD);
        for (int i = 0; i < 3; ++i) {
            self.pause();
            CHECK(std::fegetround() == FE_UPWARD);
            CHECK(thirds() == upward);
        }
    });
    Flow down([&](Flow& self) {
        std::fesetround(FE_DOWNWARD);
        for (int i = 0; i < 3; ++i) {
            self.pause();
            CHECK(std::fegetround() == FE_DOWNWARD);
            CHECK(thirds().first <= nearest.first);
        }
    });
    while (!up.done() || !down.done()) {
        if (!up.done()) up.resume();
        CHECK(thirds() == nearest);
        if (!down.done()) down.resume();
        CHECK(std::fegetround() == FE_TONEAREST);
    }
}

TEST_CASE("a fresh flow starts with the ABI's floating point mode, whatever its maker's is") {
    int rounding = -1;
    unsigned mxcsr = 0;
    Flow flow([&](Flow&) {
        rounding = std::fegetround();   // the x87's
        mxcsr = _mm_getcsr() & ~0x3fu;  // without the status flags
    });
    std::fesetround(FE_DOWNWARD);
    flow.resume();
    const int mine = std::fegetround();
    std::fesetround(FE_TONEAREST);
    CHECK(rounding == FE_TONEAREST);
    CHECK(mxcsr == 0x1f80);
    CHECK(mine == FE_DOWNWARD);
}

TEST_CASE("each flow rethrows its own exception") {
    constexpr int kFlows = 50;
    int rethrown = 0;
    std::vector<std::unique_ptr<Flow>> flows;
    for (int id = 0; id < kFlows; ++id) {
        flows.push_back(std::make_unique<Flow>([id, &rethrown](Flow& self) {
            for (int round = 0; round < 10; ++round) {
                try {
                    try {
                        throw id * 100 + round;
                    } catch (int) {
                        self.pause();
                        throw;
                    }
                } catch (int value) {
                    self.pause();
                    if (value == id * 100 + round) ++rethrown;
                }
            }
        }));
    }
    run_interleaved(flows, 1);
    CHECK(rethrown == kFlows * 10);
}

TEST_CASE("nested handlers of interleaved flows keep their order") {
    int right = 0;
    std::vector<std::unique_ptr<Flow>> flows;
    for (int id = 0; id < 20; ++id) {
        flows.push_back(std::make_unique<Flow>([id, &right](Flow& self) {
            const std::string outer = "outer " + std::to_string(id), inner = "inner " + std::to_string(id);
            try {
                throw std::runtime_error(outer);
            } catch (const std::runtime_error&) {
                self.pause();
                try {
                    throw std::logic_error(inner);
                } catch (const std::logic_error& caught) {
                    self.pause();
                    if (caught.what() == inner) ++right;
                }
                self.pause();
                try {
                    throw;
                } catch (const std::runtime_error& caught) {
                    if (caught.what() == outer) ++right;
                }
            }
            self.pause();
            if (!std::current_exception()) ++right;
        }));
    }
    run_interleaved(flows, 2);
    CHECK(right == 20 * 3);
}

TEST_CASE("a flow that pauses while it unwinds does not make others look as if they did") {
    struct PausesInDestructor {
        Flow& flow;
        int& unwinding;
        ~PausesInDestructor() {
            flow.pause();
            unwinding = std::uncaught_exceptions();
        }
    };
    int unwinding = -1;
    Flow flow([&](Flow& self) {
        try {
            PausesInDestructor last{self, unwinding};
            throw 1;
        } catch (int) {}
        CHECK(std::uncaught_exceptions() == 0);
    });
    flow.resume();
    CHECK(std::uncaught_exceptions() == 0);
    CHECK(std::current_exception() == nullptr);
    flow.resume();
    CHECK(flow.done());
    CHECK(unwinding == 1);
}

TEST_CASE("a handler of the maker stays its own while flows throw") {
    Flow flow([](Flow& self) {
        try {
            throw std::string("theirs");
        } catch (const std::string&) {
            self.pause();
        }
    });
    try {
        throw std::string("mine");
    } catch (...) {
        flow.resume();
        try {
            throw;
        } catch (const std::string& text) {
            CHECK(text == "mine");
        }
        flow.resume();
    }
    CHECK(flow.done());
    CHECK(std::current_exception() == nullptr);
}

TEST_CASE("a prepared flow may start on another thread than it was prepared on") {
    std::thread::id ran_on;
    bool rethrown = false;
    Flow flow([&](Flow& self) {
        ran_on = std::this_thread::get_id();
        try {
            throw 7;
        } catch (int) {
            self.pause();
            try {
                throw;
            } catch (int value) {
                rethrown = value == 7;
            }
        }
    });
    std::thread::id started_on;
    std::thread([&] {
        started_on = std::this_thread::get_id();
        while (!flow.done()) flow.resume();
    }).join();
    CHECK(ran_on == started_on);
    CHECK(rethrown);
}

TEST_CASE("a stack serves one flow after the other") {
    StackPool pool;
    const Stack stack = pool.take();
    struct Generation {
        Context root, context;
        int runs = 0;
    } generation;
    auto entry = [](void* argument) {
        auto& self = *static_cast<Generation*>(argument);
        char used[2000] = {};  // leaves red zones behind under ASan
        asm volatile("" : : "r"(used) : "memory");
        ++self.runs;
        leave_context(self.context, self.root);
    };
    for (int i = 0; i < 1000; ++i) {
        prepare(generation.context, stack, entry, &generation);
        switch_context(generation.root, generation.context);
    }
    CHECK(generation.runs == 1000);
    pool.give(stack);
}

TEST_CASE("a backtrace ends at the start of the flow, whatever lies above") {
    std::size_t depths[2] = {};
    for (std::size_t& depth : depths) {
        Flow flow([&](Flow& self) {
            self.pause();
            depth = backtrace_depth();
        });
        flow.resume();
        auto** above = reinterpret_cast<std::size_t (**)()>(flow.stack().rider_area());
        // What looks like a return address to an unwinder that goes too far.
        if (&depth != depths) std::fill_n(above, 64, backtrace_depth);
        flow.resume();
    }
    CHECK(depths[0] > 2);
    CHECK(depths[0] < 30);
    CHECK(depths[0] == depths[1]);
}

TEST_CASE("an entry that returns is an assertion failure") {
    const auto end = run_in_child([] {
        StackPool pool;
        Context root, context;
        prepare(context, pool.take(), [](void*) {}, nullptr);
        switch_context(root, context);
    });
    CHECK(end.signal == SIGABRT);
    CHECK(end.said("the entry function of a context returned"));
}

TEST_CASE("an exception that leaves the entry terminates the process") {
    const auto end = run_in_child([] {
        StackPool pool;
        Context root, context;
        prepare(context, pool.take(), [](void*) { throw std::runtime_error("nobody catches this"); }, nullptr);
        switch_context(root, context);
    });
    CHECK(end.signal == SIGABRT);
    CHECK(end.said("nobody catches this"));
}

TEST_CASE("a flow that left and is continued is an assertion failure") {
    const auto end = run_in_child([] {
        StackPool pool;
        struct Pair {
            Context root, context;
        } pair;
        prepare(
            pair.context, pool.take(),
            [](void* argument) {
                auto& both = *static_cast<Pair*>(argument);
                leave_context(both.context, both.root);
            },
            &pair);
        switch_context(pair.root, pair.context);
        switch_context(pair.root, pair.context);
    });
    CHECK(end.signal != 0);
}
