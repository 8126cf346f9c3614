#include "smarm/base/safe_read.h"

#include <sys/uio.h>
#include <unistd.h>

namespace smarm {

bool safe_read(const void* address, void* into, std::size_t size) noexcept {
    iovec local{into, size};
    iovec remote{const_cast<void*>(address), size};
    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == static_cast<ssize_t>(size);
}

}  // namespace smarm
