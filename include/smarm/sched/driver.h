// driver.h: the one seam through which time and outside events reach a worker.
//
// What:    a worker asks its Driver for the time, polls it for readiness between slices and waits in it when idle.
//          The real one is wait/reactor.h (epoll, eventfd); a simulation brings virtual time.
// Threads: wake() and is_watching() from any thread; everything else from the worker that owns the driver.
// Blocks:  wait() only. Throws: no.
#pragma once

#include "smarm/base/clock.h"

namespace smarm {

class Driver {
public:
    virtual ~Driver() = default;
    virtual Instant now() noexcept = 0;
    // Delivers what is ready without blocking. Returns whether anything was delivered.
    virtual bool poll() noexcept = 0;
    // Blocks until `until`, a wake() or readiness, then delivers what is ready. A wake() that came before wait() makes
    // it return at once.
    virtual void wait(Instant until) noexcept = 0;
    virtual void wake() noexcept = 0;
    // Whether anything but wake() can end a wait: poll() may deliver something. From any thread.
    virtual bool is_watching() const noexcept = 0;
};

}  // namespace smarm
