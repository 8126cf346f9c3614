#include "smarm/base/process_memory.h"

#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

namespace smarm {
namespace {

// The number of KiB that follows `key`, in bytes.
std::uint64_t bytes_after(const char* text, const char* key) noexcept {
    const char* found = std::strstr(text, key);
    return found ? std::strtoull(found + std::strlen(key), nullptr, 10) * 1024 : 0;
}

}  // namespace

ProcessMemory process_memory() noexcept {
    const int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return {};
    char text[4096] = {};
    const auto size = read(fd, text, sizeof text - 1);
    close(fd);
    if (size <= 0) return {};
    return {bytes_after(text, "\nVmRSS:"), bytes_after(text, "\nVmPTE:")};
}

}  // namespace smarm
