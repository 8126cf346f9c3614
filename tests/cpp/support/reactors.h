// reactors.h: a TestScheduler's option that gives each worker a real Reactor.
#pragma once

#include <memory>

#include "smarm/sched/scheduler.h"
#include "smarm/wait/reactor.h"

namespace smarm::testing {

inline void with_reactors(SchedulerOptions& options) {
    options.make_driver = []() -> std::unique_ptr<Driver> {
        auto reactor = std::make_unique<Reactor>();
        if (reactor->start() != 0) return nullptr;
        return reactor;
    };
}

}  // namespace smarm::testing
