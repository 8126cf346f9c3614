#include "fail_nth.h"

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <new>

#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

namespace smarm::testing {
namespace {

std::atomic<int> armed{-1};  // the kind, or -1
std::atomic<unsigned> left{0};
std::atomic<bool> failed{false};
std::atomic<long> mapped_bytes{0};
std::atomic<long> live_blocks{0};

// Counts a call of this kind; true: it is the one to fail.
bool fails(Failing kind) noexcept {
    if (armed.load(std::memory_order_relaxed) != static_cast<int>(kind)) return false;
    if (left.fetch_sub(1, std::memory_order_relaxed) != 1) return false;
    failed.store(true, std::memory_order_relaxed);
    return true;
}

template <class Function>
Function original(const char* name) noexcept {
    // SAFETY: POSIX promises that a symbol's address fits a function pointer.
    return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

long entries(const char* path) {
    DIR* directory = opendir(path);
    long count = 0;
    while (directory && readdir(directory)) ++count;
    if (directory) closedir(directory);
    return count;
}

}  // namespace

const char* name_of(Failing kind) noexcept {
    constexpr const char* names[] = {"mmap",      "madvise", "mprotect",       "epoll_create1",
                                     "epoll_ctl", "eventfd", "pthread_create", "operator new"};
    return names[static_cast<int>(kind)];
}

FailNth::FailNth(Failing kind, unsigned n) noexcept {
    left.store(n);
    failed.store(false);
    armed.store(static_cast<int>(kind));
}

FailNth::~FailNth() { armed.store(-1); }

bool FailNth::happened() const noexcept { return failed.load(); }

Holdings Holdings::now() {
    const long descriptors = entries("/proc/self/fd");
    const long threads = entries("/proc/self/task");
    return {mapped_bytes.load(), live_blocks.load(), descriptors, threads};
}

}  // namespace smarm::testing

using smarm::testing::Failing;
using smarm::testing::fails;

extern "C" {

void* mmap(void* address, size_t bytes, int protection, int flags, int fd, off_t offset) noexcept {
    static const auto next = smarm::testing::original<void* (*)(void*, size_t, int, int, int, off_t)>("mmap");
    if (fails(Failing::mmap)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    void* result = next(address, bytes, protection, flags, fd, offset);
    if (result != MAP_FAILED) smarm::testing::mapped_bytes.fetch_add(static_cast<long>(bytes));
    return result;
}

int munmap(void* address, size_t bytes) noexcept {
    static const auto next = smarm::testing::original<int (*)(void*, size_t)>("munmap");
    const int result = next(address, bytes);
    if (result == 0) smarm::testing::mapped_bytes.fetch_sub(static_cast<long>(bytes));
    return result;
}

int madvise(void* address, size_t bytes, int advice) noexcept {
    static const auto next = smarm::testing::original<int (*)(void*, size_t, int)>("madvise");
    if (!fails(Failing::madvise)) return next(address, bytes, advice);
    errno = ENOMEM;
    return -1;
}

int mprotect(void* address, size_t bytes, int protection) noexcept {
    static const auto next = smarm::testing::original<int (*)(void*, size_t, int)>("mprotect");
    if (!fails(Failing::mprotect)) return next(address, bytes, protection);
    errno = ENOMEM;
    return -1;
}

int epoll_create1(int flags) noexcept {
    static const auto next = smarm::testing::original<int (*)(int)>("epoll_create1");
    if (!fails(Failing::epoll_create)) return next(flags);
    errno = EMFILE;
    return -1;
}

int epoll_ctl(int epoll_fd, int operation, int fd, epoll_event* event) noexcept {
    static const auto next = smarm::testing::original<int (*)(int, int, int, epoll_event*)>("epoll_ctl");
    if (!fails(Failing::epoll_ctl)) return next(epoll_fd, operation, fd, event);
    errno = ENOSPC;
    return -1;
}

int eventfd(unsigned value, int flags) noexcept {
    static const auto next = smarm::testing::original<int (*)(unsigned, int)>("eventfd");
    if (!fails(Failing::eventfd)) return next(value, flags);
    errno = EMFILE;
    return -1;
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*),
                   void* argument) noexcept {
    using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
    static const auto next = smarm::testing::original<Create>("pthread_create");
    return fails(Failing::thread) ? EAGAIN : next(thread, attributes, start, argument);
}

}  // extern "C"

void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
    void* block = fails(Failing::memory) ? nullptr : std::malloc(bytes ? bytes : 1);
    if (block) smarm::testing::live_blocks.fetch_add(1);
    return block;
}
void* operator new(std::size_t bytes) {
    if (void* block = operator new(bytes, std::nothrow)) return block;
    throw std::bad_alloc();
}
void* operator new[](std::size_t bytes) { return operator new(bytes); }
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept { return operator new(bytes, std::nothrow); }
void operator delete(void* block) noexcept {
    if (block) smarm::testing::live_blocks.fetch_sub(1);
    std::free(block);
}
void operator delete(void* block, std::size_t) noexcept { operator delete(block); }
void operator delete[](void* block) noexcept { operator delete(block); }
void operator delete[](void* block, std::size_t) noexcept { operator delete(block); }
