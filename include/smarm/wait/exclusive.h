// exclusive.h: a lock with one holder that can be sealed: the core of Mutex and Once.
//
// States:  free -acquire-> held -release-> free, or straight to the oldest waiter; each of them open or sealed.
// Sealed:  acquire returns `closed` at once, and those who wait get the same; acquire(through_seal) still works.
// Owner:   the holder's list of held resources keeps the lock alive and gives it back when the holder ends.
// Order:   first in, first out; a lock that is given back belongs to the oldest waiter before anybody else can ask.
// Threads: acquire and release: actors; the rest: any holder of a reference. Allocates, throws: no.
#pragma once

#include "smarm/actor/held_resource.h"
#include "smarm/wait/sync_object.h"

namespace smarm {

class Exclusive : public SyncObject, protected HeldResource {
public:
    // Waits for the lock; the running actor must not hold it. ok, closed, timed_out or exit_requested.
    Status acquire(Instant deadline, bool through_seal = false) noexcept;

    enum class Seal : std::uint8_t { keep, put, remove };
    // Gives the lock away, and seals it or removes the seal first. Returns false when the running actor does not hold
    // it.
    bool release(Seal seal = Seal::keep) noexcept;

    // The holder, or the null Pid.
    Pid holder() noexcept { return read(holder_); }
    // Who sealed it, or the null Pid.
    Pid sealed_by() noexcept { return read(sealed_by_); }

protected:
    Exclusive() noexcept : HeldResource(this) {}
    // What the end of a holder does: Seal::put or Seal::keep.
    virtual Seal seal_at_death() const noexcept = 0;

private:
    void owner_ended(Actor& owner) noexcept override;
    Status acquire_once(Instant deadline, bool through_seal) noexcept;
    void give_away(Pid from, Seal seal) noexcept;
    void hand_over() noexcept;
    Pid read(const Pid& pid) noexcept;

    Pid holder_;
    Pid sealed_by_;
    WaitQueue waiters_;  // empty while the lock is free
};

}  // namespace smarm
