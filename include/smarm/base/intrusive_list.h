// intrusive_list.h: doubly linked list whose links live in the elements.
//
// What:    List<T> holds objects that derive from ListNode<T>; push, pop and remove are O(1) and never allocate.
// Owner:   the list borrows its elements. An element must leave the list before it dies (asserted).
// Threads: none of its own; whoever owns the list guards it.
#pragma once

#include <cstddef>

#include "smarm/base/assert.h"

namespace smarm {

template <class T>
class List;

template <class T>
class ListNode {
public:
    ListNode() = default;
    ListNode(const ListNode&) = delete;
    ListNode& operator=(const ListNode&) = delete;
    ~ListNode() { SMARM_ASSERT(list_ == nullptr, "an element died while it was in a list"); }
    bool in_list() const noexcept { return list_ != nullptr; }

private:
    friend class List<T>;
    List<T>* list_ = nullptr;
    ListNode* previous_ = nullptr;
    ListNode* next_ = nullptr;
};

template <class T>
class List {
    using Node = ListNode<T>;

public:
    List() = default;
    List(const List&) = delete;
    List& operator=(const List&) = delete;
    ~List() { SMARM_ASSERT(empty(), "a list died with elements in it"); }

    bool empty() const noexcept { return first_ == nullptr; }
    std::size_t size() const noexcept { return size_; }
    T* front() const noexcept { return static_cast<T*>(first_); }

    void push_back(T& element) noexcept {
        Node& node = element;
        SMARM_ASSERT(!node.list_, "an element can be in one list only");
        node.list_ = this;
        node.previous_ = last_;
        node.next_ = nullptr;
        (last_ ? last_->next_ : first_) = &node;
        last_ = &node;
        ++size_;
    }
    // Returns the oldest element, or nullptr.
    T* pop_front() noexcept {
        T* element = front();
        if (element) remove(*element);
        return element;
    }
    void remove(T& element) noexcept {
        Node& node = element;
        SMARM_ASSERT(node.list_ == this, "the element is not in this list");
        (node.previous_ ? node.previous_->next_ : first_) = node.next_;
        (node.next_ ? node.next_->previous_ : last_) = node.previous_;
        node.list_ = nullptr;
        node.previous_ = node.next_ = nullptr;
        --size_;
    }
    // Calls visit(T&) for each element in order; visit must not change the list.
    template <class Visit>
    void for_each(Visit visit) const {
        for (Node* node = first_; node; node = node->next_) visit(*static_cast<T*>(node));
    }

private:
    Node* first_ = nullptr;
    Node* last_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace smarm
