#include "smarm/base/own_descriptor.h"

#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

namespace smarm {

int as_own_descriptor(int fd) noexcept {
    if (fd < 0 || fd > STDERR_FILENO) return fd;
    const int moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    const int error = errno;
    close(fd);
    errno = error;
    return moved;
}

}  // namespace smarm
