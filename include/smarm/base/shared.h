// shared.h: atomically reference-counted objects that several workers may hold.
//
// What:    Shared is the base (virtual destructor, starts with one reference); Ref<T> owns one reference.
// Owner:   the last Ref, on whichever thread drops it, runs the destructor. A destructor must not park and must not
//          touch an interpreter.
// Order:   add is relaxed (the adder already holds a reference); drop is release, the last drop acquires, so that
//          the destructor sees what every holder wrote.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "smarm/base/sync.h"

namespace smarm {

class Shared {
public:
    Shared() = default;
    Shared(const Shared&) = delete;
    Shared& operator=(const Shared&) = delete;
    virtual ~Shared() = default;

    // How many bytes it adds to a message that it is attached to, about; what only refers to something adds none.
    virtual std::size_t payload_bytes() const noexcept { return 0; }

    void add_reference() noexcept { references_.fetch_add(1, memory_order_relaxed); }
    void drop_reference() noexcept {
        if (references_.fetch_sub(1, memory_order_acq_rel) == 1) delete this;
    }

private:
    atomic<std::uint32_t> references_{1};
};

template <class T>
class Ref {
public:
    Ref() = default;
    Ref(std::nullptr_t) noexcept {}
    // Takes over the caller's reference.
    static Ref adopt(T* object) noexcept {
        Ref ref;
        ref.object_ = object;
        return ref;
    }
    // Adds a reference of its own.
    static Ref share(T* object) noexcept {
        if (object) object->add_reference();
        return adopt(object);
    }
    Ref(const Ref& other) noexcept : Ref(share(other.object_)) {}
    Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
    template <class U>
    Ref(Ref<U>&& other) noexcept : object_(other.release()) {}
    Ref& operator=(Ref other) noexcept {
        std::swap(object_, other.object_);
        return *this;
    }
    ~Ref() {
        if (object_) object_->drop_reference();
    }

    T* get() const noexcept { return object_; }
    T* operator->() const noexcept { return object_; }
    T& operator*() const noexcept { return *object_; }
    explicit operator bool() const noexcept { return object_ != nullptr; }
    // Gives the reference to the caller.
    T* release() noexcept { return std::exchange(object_, nullptr); }

private:
    T* object_ = nullptr;
};

template <class T, class... Args>
Ref<T> make_shared_ref(Args&&... args) {
    return Ref<T>::adopt(new T(std::forward<Args>(args)...));
}

}  // namespace smarm
