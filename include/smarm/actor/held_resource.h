// held_resource.h: what an actor must give back when it ends.
//
// What:    a list per actor of the locks that it holds and the scopes that it is in, newest first. When the actor ends,
//          owner_ended is called on each: a lock passes to the next waiter, a scope closes.
// Cost:    one pointer per actor; entering and leaving are a few instructions and never allocate.
// Tag:     an address that says what the resource is, so that its class can find its own in the list.
// Owner:   the list borrows. Threads: the owner's worker only. Throws: no.
#pragma once

#include "smarm/base/assert.h"

namespace smarm {

class Actor;

class HeldResource {
public:
    explicit HeldResource(const void* tag) noexcept : tag_(tag) {}
    HeldResource(const HeldResource&) = delete;
    HeldResource& operator=(const HeldResource&) = delete;

    // Told that the owner has ended; the resource is out of its list already. May delete the resource.
    virtual void owner_ended(Actor& owner) noexcept = 0;

    bool is_held() const noexcept { return place_ != nullptr; }
    void enter(HeldResource*& list) noexcept {
        SMARM_ASSERT(!place_, "a resource can be held by one actor only");
        next_ = list;
        if (next_) next_->place_ = &next_;
        place_ = &list;
        list = this;
    }
    void leave() noexcept {
        *place_ = next_;
        if (next_) next_->place_ = place_;
        place_ = nullptr;
    }
    // Returns the next one with that tag, `from` included, or nullptr.
    static HeldResource* find(HeldResource* from, const void* tag) noexcept {
        while (from && from->tag_ != tag) from = from->next_;
        return from;
    }
    HeldResource* next() const noexcept { return next_; }

protected:
    ~HeldResource() { SMARM_ASSERT(!place_, "a resource died while it was held"); }

private:
    const void* tag_;
    HeldResource* next_ = nullptr;
    HeldResource** place_ = nullptr;  // the pointer that points here
};

// Gives back everything that the actor holds. On its worker, when it has ended or is about to.
void give_back_all(Actor& actor) noexcept;

}  // namespace smarm
