// config.h: everything a user can set, with its unit and default. The Python side (pylib/smarm/_config.py) has the table of
// names, limits and documentation, checks values, and fills this in.
#pragma once

#include <cstddef>
#include <cstdint>

#include "smarm/base/clock.h"

namespace smarm {

class Simulation;

struct RuntimeConfig {
    unsigned workers = 1;
    std::size_t stack_bytes = 8u << 20;
    std::size_t main_stack_bytes = 16u << 20;
    std::size_t warm_stacks = 1024;  // per worker
    Duration shutdown_timeout = std::chrono::seconds(5);
    Duration spin = std::chrono::microseconds(50);
    Duration interrupt_after = std::chrono::milliseconds(100);  // see SchedulerOptions
    Duration kill_patience = std::chrono::seconds(5);
    Duration time_slice = std::chrono::milliseconds(1);        // 0: no preemption
    Duration stall_threshold = std::chrono::milliseconds(50);  // 0: no watchdog
    std::uint32_t mailbox_limit = 0;                           // messages that may wait for an actor; 0: any number
    std::size_t mailbox_bytes = 0;                             // bytes of them, likewise
    std::uint32_t report_dead_letters = 10;                    // how many reports of them a run writes
    std::uint32_t message_depth = 500;                         // see CodecLimits
    std::size_t message_bytes = std::size_t{4} << 30;
    std::size_t buffer_pool_bytes = std::size_t{128} << 20;  // free memory kept for large buffers
    Simulation* simulation = nullptr;                        // borrowed; see smarm.testing
    std::size_t max_actors = 67'000'000;
    std::size_t max_stack_bytes = 0;   // of all actors together; 0: any
    std::size_t max_buffer_bytes = 0;  // of all Buffers together; 0: any
    bool pickle = true;                // false: Objects::data
    bool main_by_value = false;        // functions of __main__ travel by value: no worker can load it
};

}  // namespace smarm
