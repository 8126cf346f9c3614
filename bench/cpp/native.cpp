// Native actors, without Python, on one worker: native spawn | pingpong
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "smarm/sched/scheduler.h"
#include "smarm/wait/channel.h"
#include "smarm/wait/join_state.h"
#include "smarm/wait/reactor.h"

#include "result.h"

using namespace smarm;

namespace {

// A native actor that can be joined.
class Joinable final : public NativeActor {
public:
    explicit Joinable(std::function<void()> function) : NativeActor(std::move(function)) {}
    void body() noexcept override {
        NativeActor::body();
        state->finish(OutcomeKind::returned, Message());
    }
    const Ref<JoinState> state = make_shared_ref<JoinState>(false);
};

Ref<JoinState> spawn(std::function<void()> function) {
    auto joinable = std::make_unique<Joinable>(std::move(function));
    Ref<JoinState> state = joinable->state;
    std::unique_ptr<Actor> actor = std::move(joinable);
    this_worker()->scheduler().spawn(actor, Scheduler::Place::local);
    return state;
}

void measure_spawn(long n, long wave) {
    const double start = bench::seconds_now();
    std::vector<Ref<JoinState>> joins;
    for (long done = 0; done < n; done += wave) {
        joins.clear();
        for (long i = 0; i < wave; ++i) joins.push_back(spawn([] {}));
        for (auto& join : joins) join->join(kNever);
    }
    bench::report(static_cast<double>(n) / (bench::seconds_now() - start), "spawns/s");
}

// Numbers travel as local objects, which are words to the core: 8 * number.
void send(Channel& channel, long number) {
    Message message = Message::local(reinterpret_cast<void*>(number * 8));
    channel.send(message);
}

long receive(Channel& channel) {
    Message message;
    channel.receive(message);
    return static_cast<long>(reinterpret_cast<std::uintptr_t>(message.take_local())) / 8;
}

void measure_pingpong(long n) {
    Channel to_pong, to_ping;
    const double start = bench::seconds_now();
    const auto pong = spawn([&] {
        for (long i = 0; i < n; ++i) send(to_ping, receive(to_pong));
    });
    const auto ping = spawn([&] {
        for (long i = 1; i <= n; ++i) {
            send(to_pong, i);
            receive(to_ping);
        }
    });
    ping->join(kNever);
    pong->join(kNever);
    bench::report(static_cast<double>(n) / (bench::seconds_now() - start), "round trips/s");
}

void run(std::function<void()> measure) {
    SchedulerOptions options;
    options.make_driver = []() -> std::unique_ptr<Driver> {
        auto reactor = std::make_unique<Reactor>();
        return reactor->start() == 0 ? std::move(reactor) : nullptr;
    };
    Scheduler scheduler(std::move(options));
    scheduler.ensure_worker(0);
    std::unique_ptr<Actor> main = std::make_unique<NativeActor>([&] {
        measure();
        scheduler.stop();
    });
    scheduler.spawn(main, Scheduler::Place::on_worker, 0);
    scheduler.run_main();
}

}  // namespace

int main(int argc, char** argv) {
    const std::string what = argc > 1 ? argv[1] : "";
    const long n = bench::argument(argc, argv, "n", 2'000'000);
    if (what == "spawn") run([&] { measure_spawn(n, bench::argument(argc, argv, "wave", 1000)); });
    else if (what == "pingpong") run([&] { measure_pingpong(n); });
    else return 2;
    return 0;
}
