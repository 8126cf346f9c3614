// thread_probe.h: what another OS thread of this process is doing: computing, blocked, or waiting for a CPU.
//
// What:    note_caller() makes it about the calling thread; then any thread may ask. Used to tell a thread that is held
//          up from one that the machine gives no time.
// Threads: note_caller: the thread itself, once, before it is asked about; the rest any. Blocks, throws: no. Costs a
//          system call.
// Errors:  of a thread that has ended: no CPU time, not blocked.
#pragma once

#include "smarm/base/clock.h"
#include "smarm/base/sync.h"

namespace smarm {

class ThreadProbe {
public:
    void note_caller() noexcept;
    // CPU time that the thread has used.
    Duration cpu_time() const noexcept;
    bool is_process_main() const noexcept;
    // Whether it sleeps in the kernel: it neither runs nor waits for a CPU.
    bool is_blocked() const noexcept;

private:
    atomic<int> thread_{0};  // relaxed: the kernel's number; 0: none yet
};

}  // namespace smarm
