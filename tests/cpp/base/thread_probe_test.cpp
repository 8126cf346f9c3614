#include "smarm/base/thread_probe.h"

#include <semaphore>
#include <thread>

#include <doctest/doctest.h>

using namespace smarm;
using namespace std::chrono_literals;

TEST_CASE("a thread that computes uses CPU time and is not blocked") {
    ThreadProbe probe;
    probe.note_caller();
    const Duration before = probe.cpu_time();
    while (probe.cpu_time() - before < 2ms) cpu_relax();
    CHECK(!probe.is_blocked());
}

TEST_CASE("a thread that waits in the kernel is blocked and uses none") {
    ThreadProbe probe;
    std::binary_semaphore noted{0};
    std::binary_semaphore end{0};
    std::thread waiter([&] {
        probe.note_caller();
        noted.release();
        end.acquire();
    });
    noted.acquire();
    while (!probe.is_blocked()) std::this_thread::yield();
    const Duration used = probe.cpu_time();
    CHECK(probe.cpu_time() == used);
    end.release();
    waiter.join();
    CHECK(probe.cpu_time() == Duration::zero());
    CHECK(!probe.is_blocked());
}

TEST_CASE("a probe of nobody knows nothing") {
    ThreadProbe probe;
    CHECK(probe.cpu_time() == Duration::zero());
    CHECK(!probe.is_blocked());
}

TEST_CASE("the process's main thread is told from the others") {
    ThreadProbe here;
    ThreadProbe there;
    here.note_caller();
    std::thread([&] { there.note_caller(); }).join();
    CHECK(here.is_process_main());
    CHECK_FALSE(there.is_process_main());
}
