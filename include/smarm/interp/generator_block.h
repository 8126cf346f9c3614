// generator_block.h: a `with` block in a generator or coroutine, which leaves its actor's stack while that is
// suspended.
//
// What:    enter() finds the innermost generator or coroutine that is running; its block is on the stack while its
//          frame is, or once it has come to its end without leaving the block. What runs for an `__enter__` is not
//          meant: the block that a @contextmanager opens for its caller is the caller's.
// Owner:   the caller; it holds a weak reference to the generator.
// Threads: the actor's worker, attached. Blocks, throws: no.
#pragma once

#include <Python.h>

#include "smarm/sched/cancel_scope.h"

namespace smarm {

class GeneratorBlock final : public CancelScope::Block {
public:
    GeneratorBlock() = default;
    GeneratorBlock(const GeneratorBlock&) = delete;
    GeneratorBlock& operator=(const GeneratorBlock&) = delete;
    ~GeneratorBlock() { Py_XDECREF(generator_); }

    // The block begins in the code that is running. False: MemoryError is set.
    bool enter();
    // nullptr: it is in no generator.
    const GeneratorBlock* if_any() const noexcept { return generator_ ? this : nullptr; }

    bool is_on_stack(const Actor& actor) const noexcept override;
    bool is_same(const Block* other) const noexcept override;

private:
    PyObject* generator_ = nullptr;  // a weak reference; nullptr: none
};

}  // namespace smarm
