// assert.h: always-on check of what the program itself guarantees.
//
// What:    SMARM_ASSERT(condition, "sentence") prints file, line, the sentence and the context line given by the
//          hook (actor, worker, seed), then aborts. It is never compiled out.
// Not:     a way to report bad input. What a user, a peer or the kernel can cause is a Result or a Python error.
// Threads: any. Blocks, allocates, throws: no.
#pragma once

namespace smarm {

// Prints the failed assertion and aborts the process.
[[noreturn]] void assertion_failed(const char* condition, const char* sentence, const char* file, int line) noexcept;

// Sets the function that writes "worker 1, actor <pid 7.1>" into `text` (at most `size` bytes, always terminated).
using AssertContext = void (*)(char* text, unsigned long size);
void set_assert_context(AssertContext context) noexcept;

}  // namespace smarm

#define SMARM_ASSERT(condition, sentence) \
    (__builtin_expect(!!(condition), 1) ? (void)0 : ::smarm::assertion_failed(#condition, sentence, __FILE__, __LINE__))
