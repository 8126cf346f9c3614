// own_code.h: which code is smarm's own, so that people are shown theirs.
//
// What:    spawn sites, tracebacks of failures and dumps leave out the frames of files below smarm's directory and
//          those of pytest, which calls the program in a test, unless the variable SMARM_INTERNAL_FRAMES is set (to
//          anything but 0) when the run begins.
// Threads: remember_own_code: attached, the main interpreter, before actors run. is_own_file: any, also in a signal
//          handler.
#pragma once

namespace smarm {

// Notes where the package smarm is. Does nothing when it was noted, or cannot be found.
void remember_own_code();

// Whether `file` is one of smarm's own, which are not shown.
bool is_own_file(const char* file) noexcept;

}  // namespace smarm
