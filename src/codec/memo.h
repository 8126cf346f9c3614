// codec/memo.h: which objects of a value have been written, by identity.
//
// What:    maps an object to the number that Ref uses. A few objects are searched linearly, more through an open
//          addressing table; nothing is allocated for the first kLinear.
// Owner:   holds a reference to each object, so that no other object can take its address during the walk.
// Throws:  std::bad_alloc from add().
#pragma once

#include <Python.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "codec/stack.h"

namespace smarm::codec {

class Memo {
public:
    Memo() = default;
    Memo(const Memo&) = delete;
    Memo& operator=(const Memo&) = delete;
    ~Memo() {
        std::free(table_);
        for (std::size_t index = 0; index < objects_.size(); ++index) Py_DECREF(objects_[index]);
    }

    // Returns the object's number, or -1.
    std::int64_t find(PyObject* object) const noexcept {
        if (!table_) {
            for (std::size_t index = 0; index < objects_.size(); ++index) {
                if (objects_[index] == object) return static_cast<std::int64_t>(index);
            }
            return -1;
        }
        for (std::size_t slot = hash(object);; ++slot) {
            std::uint32_t entry = table_[slot & mask_];
            if (entry == 0) return -1;
            if (objects_[entry - 1] == object) return entry - 1;
        }
    }

    // Gives the object the next number; it must not have one.
    void add(PyObject* object) {
        if (objects_.size() >= kLinear && 2 * (objects_.size() + 1) > mask_) grow();
        objects_.push(object);
        Py_INCREF(object);
        if (table_) enter(objects_.size());
    }

private:
    static constexpr std::size_t kLinear = 8;

    static std::size_t hash(PyObject* object) noexcept {
        auto address = reinterpret_cast<std::uintptr_t>(object) >> 4;
        return address ^ address >> 12;
    }
    void enter(std::size_t entry) noexcept {
        std::size_t slot = hash(objects_[entry - 1]);
        while (table_[slot & mask_] != 0) ++slot;
        table_[slot & mask_] = static_cast<std::uint32_t>(entry);
    }
    void grow() {
        if (objects_.size() >= UINT32_MAX / 4) throw std::bad_alloc();
        std::size_t slots = table_ ? 4 * (mask_ + 1) : 64;
        auto* table = static_cast<std::uint32_t*>(std::calloc(slots, sizeof(std::uint32_t)));
        if (!table) throw std::bad_alloc();
        std::free(table_);
        table_ = table;
        mask_ = slots - 1;
        for (std::size_t entry = 1; entry <= objects_.size(); ++entry) enter(entry);
    }

    Stack<PyObject*, kLinear> objects_;
    std::uint32_t* table_ = nullptr;  // number + 1, 0 = free
    std::size_t mask_ = 0;
};

}  // namespace smarm::codec
