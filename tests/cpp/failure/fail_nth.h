// fail_nth.h: makes the Nth call of a system function fail, and counts what is not given back.
//
// What:    this executable's own mmap, madvise, ..., pthread_create and operator new stand before the C library's.
//          While a FailNth lives, the calls of its kind are counted, on all threads, and the Nth of them fails with the
//          error that the kernel gives. See https://sqlite.org/testing.html, "anomaly testing".
// Use:     for (n = 1; ; ++n) { FailNth fail(kind, n); scenario(); if (!fail.happened()) break; }
// Threads: one FailNth at a time.
#pragma once

#include <cstddef>

namespace smarm::testing {

enum class Failing { mmap, madvise, mprotect, epoll_create, epoll_ctl, eventfd, thread, memory };
inline constexpr Failing kAllFailing[] = {Failing::mmap,         Failing::madvise,   Failing::mprotect,
                                          Failing::epoll_create, Failing::epoll_ctl, Failing::eventfd,
                                          Failing::thread,       Failing::memory};
const char* name_of(Failing kind) noexcept;

class FailNth {
public:
    // n counts from 1.
    FailNth(Failing kind, unsigned n) noexcept;
    ~FailNth();
    FailNth(const FailNth&) = delete;
    FailNth& operator=(const FailNth&) = delete;
    bool happened() const noexcept;
};

// What the process holds: bytes mapped by mmap and not unmapped, blocks of operator new, descriptors, threads.
struct Holdings {
    long mapped = 0;
    long blocks = 0;
    long descriptors = 0;
    long threads = 0;
    static Holdings now();
    bool operator==(const Holdings&) const = default;
};

}  // namespace smarm::testing
