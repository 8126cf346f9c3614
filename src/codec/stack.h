// codec/stack.h: a stack whose first few elements need no allocation.
//
// What:    the walk over a nested value keeps its place here and not on the C stack, which is small in an actor.
//          T must be trivially copyable (the owner of the stack releases what its elements own).
// Throws:  std::bad_alloc from push(). References to elements are invalid after a push.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <type_traits>

namespace smarm::codec {

template <class T, std::size_t inline_count>
class Stack {
    static_assert(std::is_trivially_copyable_v<T>);

public:
    Stack() = default;
    Stack(const Stack&) = delete;
    Stack& operator=(const Stack&) = delete;
    ~Stack() {
        if (elements_ != first_) std::free(elements_);
    }

    bool empty() const noexcept { return size_ == 0; }
    std::size_t size() const noexcept { return size_; }
    T& top() noexcept { return elements_[size_ - 1]; }
    T& operator[](std::size_t index) noexcept { return elements_[index]; }
    const T& operator[](std::size_t index) const noexcept { return elements_[index]; }
    void push(const T& element) {
        if (size_ == capacity_) grow();
        elements_[size_++] = element;
    }
    T pop() noexcept { return elements_[--size_]; }

private:
    void grow() {
        std::size_t bytes = 2 * capacity_ * sizeof(T);
        void* block = elements_ == first_ ? std::malloc(bytes) : std::realloc(elements_, bytes);
        if (!block) throw std::bad_alloc();
        if (elements_ == first_) std::memcpy(block, first_, sizeof first_);
        elements_ = static_cast<T*>(block);
        capacity_ *= 2;
    }

    std::size_t size_ = 0;
    std::size_t capacity_ = inline_count;
    T* elements_ = first_;
    T first_[inline_count];
};

}  // namespace smarm::codec
