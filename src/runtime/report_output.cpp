#include "runtime/report_output.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace smarm {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPatience{10'000};  // without progress
constexpr milliseconds kHurry{200};
constexpr milliseconds kStep{50};  // how often it is asked whether to hurry
// What a pipe that has room for anything takes at once: for descriptors that cannot be opened again.
constexpr std::size_t kSureBytes = 4096;

}  // namespace

Output::Output(int descriptor, bool (*hurried)(const void*), const void* argument) noexcept
    : descriptor_(descriptor), hurried_(hurried), argument_(argument) {
    struct stat status = {};
    is_socket_ = fstat(descriptor, &status) == 0 && S_ISSOCK(status.st_mode);
    // A file's twin would have a position of its own, and files do not block.
    if (is_socket_ || !(S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode))) return;
    char path[40];
    std::snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    twin_ = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

Output::~Output() {
    if (twin_ >= 0) close(twin_);
}

bool Output::wait_for_room() noexcept {
    const Instant began = monotonic_now();
    for (;;) {
        pollfd ready{twin_ >= 0 ? twin_ : descriptor_, POLLOUT, 0};
        if (poll(&ready, 1, kStep.count()) > 0) return true;
        if (monotonic_now() - began > (hurried_(argument_) ? kHurry : kPatience)) return false;
    }
}

long Output::write_some(std::string_view text) noexcept {
    if (is_socket_) return send(descriptor_, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (twin_ >= 0) return ::write(twin_, text.data(), text.size());
    return ::write(descriptor_, text.data(), std::min(text.size(), kSureBytes));
}

bool Output::write(std::string_view text) noexcept {
    while (!gone_ && !text.empty()) {
        if (!wait_for_room()) {
            gone_ = true;
            break;
        }
        const long part = write_some(text);
        if (part > 0) text.remove_prefix(static_cast<std::size_t>(part));
        else if (part < 0) gone_ = errno != EAGAIN && errno != EINTR;
    }
    return !gone_;
}

}  // namespace smarm
