// cargo.h: what moves with a parcel, as opposed to what a parcel shares.
//
// What:    an attachment that one receiver takes out. While it is in the parcel its sender no longer has it;
//          give_back() returns it when the parcel did not leave after all.
// Owner:   the parcel. Dropped with it, on any thread: what nobody took is freed then.
// Threads: give_back: the sender's, before the parcel has been handed on. Throws: no.
#pragma once

#include "smarm/base/shared.h"

namespace smarm {

class Cargo : public Shared {
public:
    virtual void give_back() noexcept = 0;
};

}  // namespace smarm
