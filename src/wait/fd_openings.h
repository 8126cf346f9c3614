// fd_openings.h: the process-wide table of what fd numbers stand for: see wait/fd.h, "Opening".
//
// What:    each number has one word: the count of its openings in the upper half (even: open or never seen; odd: being
//          closed), and below it the workers that have waited for this opening, as bits of index modulo 32. It is one
//          word, so that a wait belongs to one opening and its close sees it.
// Threads: any. Blocks: settled() and join_opening() while another thread is in close(2) of the number.
// Allocates: the part for 1024 numbers, once; parts are never freed.
#pragma once

#include <cstdint>

#include "smarm/base/sync.h"
#include "smarm/sched/worker.h"

namespace smarm {

struct FdRecord {
    atomic<std::uint64_t> word{0};
};

namespace fd_openings {

inline constexpr int kNumbersPerPart = 1024;

// nullptr: no memory for the record, or no possible fd.
FdRecord* record_of(int fd) noexcept;
// nullptr: nobody has asked for the number yet.
FdRecord* existing_record_of(int fd) noexcept;

inline std::uint32_t opening_in(std::uint64_t word) noexcept { return static_cast<std::uint32_t>(word >> 32); }
inline bool has_watchers(std::uint64_t word) noexcept { return static_cast<std::uint32_t>(word) != 0; }

// Returns the word once nobody is closing the number. A close in progress may be that of the last file: the number is
// free for the next one before close(2) returns.
std::uint64_t settled(const FdRecord& record) noexcept;
// Notes that this worker waits for the number, and returns the opening that it waits for.
std::uint32_t join_opening(FdRecord& record, const Worker& worker) noexcept;

}  // namespace fd_openings
}  // namespace smarm
