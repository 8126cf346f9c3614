// buffer_loan.h: memory of a Python object (a numpy array, bytearray, array.array) lent to a Buffer, without a copy.
//
// What:    lend() takes a view of the object's bytes and keeps it as a BufferMemory. It may leave its interpreter only
//          when is_sole() says that nobody else can reach those bytes through the object.
// Owner:   the loan holds the object. The last reference may be dropped anywhere: the view then waits in a list until
//          the main lane takes it out (take_back_loans), woken for that if need be.
// Limits:  the main interpreter's objects only: that interpreter outlives all others.
// Threads: lend, is_sole: attached to the main interpreter. Destruction: any thread, attached or not.
#pragma once

#include <Python.h>

#include "smarm/msg/buffer_memory.h"

namespace smarm {

// Whether the attached interpreter is the one that can lend.
bool can_lend() noexcept;

// Returns nullptr with an exception set: TypeError when the object has no bytes to share (no buffer protocol, an array
// of Python objects), BufferError when they are read-only or not contiguous.
Ref<BufferMemory> lend(PyObject* object);

// True for memory that is no loan. False with BufferError set, which says what refers to the object's memory.
bool is_sole(BufferMemory& memory);

// Releases what came back. Does nothing unless attached to the main interpreter; keeps a pending exception.
void take_back_loans() noexcept;

}  // namespace smarm
