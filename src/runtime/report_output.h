// report_output.h: writing to somebody who may not read.
//
// What:    an Output writes to a descriptor without ever blocking in the kernel: through a twin of it that has
//          O_NONBLOCK (a new open file: the flags of the one that others share stay), or MSG_DONTWAIT for sockets. It
//          waits in poll only.
// Owner:   of the twin, not of the descriptor. Threads: one at a time.
#pragma once

#include <string_view>

#include "smarm/base/clock.h"

namespace smarm {

class Output {
public:
    // `hurried` is asked now and then whether patience is at its end sooner.
    Output(int descriptor, bool (*hurried)(const void*), const void* argument) noexcept;
    ~Output();
    Output(const Output&) = delete;
    Output& operator=(const Output&) = delete;

    // False: nobody reads it (any more), now and from then on.
    bool write(std::string_view text) noexcept;

private:
    bool wait_for_room() noexcept;
    long write_some(std::string_view text) noexcept;

    const int descriptor_;
    int twin_ = -1;
    bool is_socket_ = false;
    bool gone_ = false;
    bool (*hurried_)(const void*);
    const void* argument_;
};

}  // namespace smarm
