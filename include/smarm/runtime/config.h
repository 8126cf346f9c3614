// config.h: what a run is given: the options of pylib/smarm/_config.py by the same names, and what else differs between
// runs.
//
// The table there has each option's limits, default, unit and documentation, and checks the values: there are none
// here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "smarm/base/clock.h"

namespace smarm {

class Simulation;

struct RuntimeConfig {
    unsigned workers;
    std::size_t stack_size;
    std::size_t main_stack_size;
    std::size_t warm_stacks;
    Duration shutdown_timeout;
    Duration spin;
    Duration interrupt_after;
    Duration kill_patience;
    Duration time_slice;
    Duration stall_threshold;
    std::uint32_t mailbox_limit;
    std::size_t mailbox_byte_limit;
    std::uint32_t report_dead_letters;
    std::uint32_t message_depth;
    std::size_t message_size;
    std::size_t buffer_pool;
    std::size_t max_actors;
    std::size_t max_stack_bytes;
    std::size_t max_buffer_bytes;
    bool pickle;                               // false: Objects::data
    std::vector<std::string> trusted_modules;  // whose functions a message may name then
    std::string extensions;                    // "main" or "private": see extensions/policy.h
    std::vector<std::string> extensions_share;
    std::vector<std::string> extensions_private_libraries;
    std::vector<std::string> extensions_main_only;

    bool main_by_value;      // functions of __main__ travel by value: no worker can load it
    Simulation* simulation;  // borrowed, or nullptr; see smarm.testing
};

}  // namespace smarm
