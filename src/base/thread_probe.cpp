#include "smarm/base/thread_probe.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <ctime>

namespace smarm {

void ThreadProbe::note_caller() noexcept { thread_.store(gettid(), memory_order_relaxed); }

bool ThreadProbe::is_process_main() const noexcept { return thread_.load(memory_order_relaxed) == getpid(); }

Duration ThreadProbe::cpu_time() const noexcept {
    const int thread = thread_.load(memory_order_relaxed);
    // What pthread_getcpuclockid makes of a thread's number; that needs a handle, which may be stale.
    const auto clock = static_cast<clockid_t>(~static_cast<unsigned>(thread) << 3 | 6);
    timespec time = {};
    if (thread == 0 || clock_gettime(clock, &time) != 0) return Duration::zero();
    return std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec);
}

bool ThreadProbe::is_blocked() const noexcept {
    char path[64];
    std::snprintf(path, sizeof path, "/proc/self/task/%d/stat", thread_.load(memory_order_relaxed));
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    char text[128] = {};
    const auto size = read(fd, text, sizeof text - 1);
    close(fd);
    // "number (name) state ...": the name may hold anything.
    const char* state = size > 0 ? std::strrchr(text, ')') : nullptr;
    return state && (state[2] == 'S' || state[2] == 'D');
}

}  // namespace smarm
