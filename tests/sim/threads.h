// threads.h: threads that are fibers of one OS thread, and a seed that says which of them runs on.
//
// What:    explore(seed, body) runs body as the first thread until all threads have ended. At each point() any thread
//          that can run may go on, as the seed says. wait_for() blocks until a condition holds or the virtual time has
//          come.
// Deadlock: when no thread can run and none waits for a time, the run is given up where it stands (what it holds is
//           leaked).
// Outside of explore(), point() does nothing and wait_for() must not have to wait.
// Not:     preemptive: between two points a thread runs alone, so plain memory needs no protection.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <utility>

namespace smarm::sim {

enum class Outcome : std::uint8_t { finished, deadlocked };
using Time = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;

Outcome explore(std::uint64_t seed, std::function<void()> body);

void point() noexcept;
void wait_for(const std::function<bool()>& condition, Time until = Time::max()) noexcept;
// True once in `of` times, on average.
bool chance(unsigned of) noexcept;
Time now() noexcept;

class Thread {
public:
    explicit Thread(std::function<void()> body);
    Thread(Thread&& other) noexcept : number_(std::exchange(other.number_, 0)) {}
    bool joinable() const noexcept { return number_ != 0; }
    void join() noexcept;
    void detach() noexcept { number_ = 0; }

private:
    std::size_t number_ = 0;
};

}  // namespace smarm::sim
