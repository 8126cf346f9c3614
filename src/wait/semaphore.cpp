#include "smarm/wait/semaphore.h"

#include <memory>
#include <new>

namespace smarm {

// What one actor has of one semaphore.
struct Semaphore::Permits final : HeldResource {
    explicit Permits(Semaphore& semaphore) noexcept
        : HeldResource(&semaphore), home(Ref<Semaphore>::share(&semaphore)) {}
    void owner_ended(Actor&) noexcept override {
        for (; count; --count) home->put_back();
        delete this;
    }
    const Ref<Semaphore> home;
    std::size_t count = 0;
};

Status Semaphore::acquire(Instant deadline) noexcept {
    Actor& self = *this_actor();
    auto* mine = static_cast<Permits*>(HeldResource::find(self.held, this));
    std::unique_ptr<Permits> fresh;
    if (!mine) {
        fresh.reset(new (std::nothrow) Permits(*this));
        if (!(mine = fresh.get())) return Status::no_memory;
    }
    const Status status = take(self, deadline);
    if (status != Status::ok) return status;
    ++mine->count;
    if (fresh) fresh.release()->enter(self.held);
    return Status::ok;
}

Status Semaphore::take(Actor& self, Instant deadline) noexcept {
    gate_.lock();
    if (available_) {
        --available_;
        gate_.unlock();
        return Status::ok;
    }
    Waiter waiter(self);
    waiters_.push(waiter);
    const Status status = wait(waiters_, waiter, WaitReason::lock, deadline);
    gate_.unlock();
    return status;
}

bool Semaphore::release() noexcept {
    auto* mine = static_cast<Permits*>(HeldResource::find(this_actor()->held, this));
    if (!mine) return false;
    put_back();
    if (--mine->count == 0) {
        mine->leave();
        delete mine;
    }
    return true;
}

void Semaphore::put_back() noexcept {
    gate_.lock();
    if (waiters_.empty()) ++available_;
    else waiters_.wake_one();
    gate_.unlock();
}

std::size_t Semaphore::available() noexcept {
    gate_.lock();
    const std::size_t available = available_;
    gate_.unlock();
    return available;
}

}  // namespace smarm
