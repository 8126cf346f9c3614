// Transfers that never enter the kernel blocking, whatever O_NONBLOCK says.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <new>
#include <utility>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <termios.h>
#include <unistd.h>

#include "smarm/base/own_descriptor.h"
#include "smarm/wait/fd.h"

namespace smarm {
namespace {

constexpr std::size_t kFileChunk = 128 * 1024;

bool is_file(const struct stat& status) noexcept { return S_ISREG(status.st_mode) || S_ISBLK(status.st_mode); }

bool is_nonblocking(int fd) noexcept {
    const int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_NONBLOCK);
}

// Opens the same pipe or terminal again, non-blocking: that is a flag of the opening and does not concern those who
// share `fd`. Returns -1 for what cannot be opened again. Nor can a pseudoterminal's master: that would make another
// terminal.
int open_twin(int fd, const struct stat& status, int mode) noexcept {
    unsigned number = 0;
    const bool terminal = S_ISCHR(status.st_mode) && isatty(fd) && ioctl(fd, TIOCGPTN, &number) != 0;
    if (!terminal && !S_ISFIFO(status.st_mode)) return -1;
    char path[32];
    std::snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return as_own_descriptor(open(path, mode | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
}

// For an fd whose kind has refused the promise not to wait (RWF_NOWAIT).
template <class Plain>
ssize_t transfer_without_promise(int fd, int mode, Plain plain) noexcept {
    struct stat status{};
    if (fstat(fd, &status) != 0) return -1;
    if (is_file(status) || is_nonblocking(fd)) return plain(fd);
    const int twin = open_twin(fd, status, mode);
    if (twin < 0) {
        if ((errno = keep_nonblocking(fd)) != 0) return -1;
        return plain(fd);
    }
    const ssize_t done = plain(twin);
    const int error = errno;
    close(twin);
    errno = error;
    return done;
}

bool lacks_promise(int error) noexcept { return error == EOPNOTSUPP || error == ENOSYS || error == EINVAL; }

// One transfer that does not wait. Returns -1 with EAGAIN when there is nothing to do yet.
ssize_t read_now(int fd, void* data, std::size_t size) noexcept {
    const iovec part{data, size};
    ssize_t done = preadv2(fd, &part, 1, -1, RWF_NOWAIT);
    if (done >= 0 || !lacks_promise(errno)) {
        // Of a file: it is not in memory.
        struct stat status{};
        if (done >= 0 || !would_block(errno) || fstat(fd, &status) != 0 || !is_file(status)) return done;
        return read(fd, data, size);
    }
    done = recv(fd, data, size, MSG_DONTWAIT);
    if (done >= 0 || errno != ENOTSOCK) return done;
    return transfer_without_promise(fd, O_RDONLY, [=](int it) { return read(it, data, size); });
}

ssize_t write_now(int fd, const void* data, std::size_t size) noexcept {
    const iovec part{const_cast<void*>(data), size};
    ssize_t done = pwritev2(fd, &part, 1, -1, RWF_NOWAIT);
    if (done >= 0 || !lacks_promise(errno)) {
        struct stat status{};
        if (done >= 0 || !would_block(errno) || fstat(fd, &status) != 0 || !is_file(status)) return done;
        return write(fd, data, size);
    }
    done = send(fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (done >= 0 || errno != ENOTSOCK) return done;
    return transfer_without_promise(fd, O_WRONLY, [=](int it) { return write(it, data, size); });
}

// Repeats transfer(), which returns as read(2) does, until it is not refused; `done` is its result.
template <class Transfer>
FdEnd transfer_fd(int fd, Interest interest, Instant deadline, std::size_t& done, Transfer transfer) noexcept {
    int error = 0;
    const FdEnd end = try_until_taken(fd, interest, deadline, [&] {
        ssize_t count = -1;
        do count = transfer();
        while (count < 0 && errno == EINTR);
        error = count < 0 ? errno : 0;
        done = count < 0 ? 0 : static_cast<std::size_t>(count);
        return !would_block(error);
    });
    return end.status == FdStatus::ready && error ? FdEnd{FdStatus::failed, error} : end;
}

}  // namespace

FdEnd read_fd(int fd, void* data, std::size_t size, Instant deadline, std::size_t& got) noexcept {
    return transfer_fd(fd, Interest::read, deadline, got, [=] { return read_now(fd, data, size); });
}

FdEnd write_fd(int fd, const void* data, std::size_t size, Instant deadline, std::size_t& written) noexcept {
    const char* bytes = static_cast<const char*>(data);
    written = 0;
    for (;;) {
        std::size_t count = 0;
        const FdEnd end = transfer_fd(fd, Interest::write, deadline, count,
                                      [=, &written] { return write_now(fd, bytes + written, size - written); });
        written += count;
        if (end.status != FdStatus::ready || written >= size) return end;
    }
}

FdEnd send_file(int to, int from, off_t* offset, std::size_t size, std::size_t& sent) noexcept {
    sent = 0;
    struct stat status{};
    if (fstat(to, &status) != 0) return {FdStatus::failed, errno};
    if (is_file(status) || is_nonblocking(to)) {  // does not wait, or says that it would have to
        const ssize_t count = sendfile(to, from, offset, size);
        if (count < 0) return {FdStatus::failed, errno};
        sent = static_cast<std::size_t>(count);
        return {};
    }
    // sendfile(2) has no flag that keeps it from waiting: the bytes go through memory.
    off_t position = offset ? *offset : lseek(from, 0, SEEK_CUR);
    if (position < 0) return {FdStatus::failed, errno == ESPIPE ? EINVAL : errno};
    const auto chunk = std::unique_ptr<char[]>(new (std::nothrow) char[kFileChunk]);
    if (!chunk) return {FdStatus::failed, ENOMEM};
    FdEnd end;
    while (sent < size && end.status == FdStatus::ready) {
        const ssize_t count = pread(from, chunk.get(), std::min(size - sent, kFileChunk), position);
        if (count < 0) end = {FdStatus::failed, errno == ESPIPE ? EINVAL : errno};
        if (count <= 0) break;
        std::size_t written = 0;
        end = write_fd(to, chunk.get(), static_cast<std::size_t>(count), kNever, written);
        sent += written;
        position += static_cast<off_t>(written);
    }
    if (offset) *offset = position;
    else lseek(from, position, SEEK_SET);
    // As the system call: what has been sent counts more than what went wrong then.
    return end.status == FdStatus::failed && sent > 0 ? FdEnd{} : end;
}

int keep_nonblocking(int fd) noexcept {
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0) return errno;
    return (flags & O_NONBLOCK) || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 ? 0 : errno;
}

}  // namespace smarm
