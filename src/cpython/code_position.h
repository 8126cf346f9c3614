// code_position.h: where in its code a Python frame stands, for who wants to raise an exception there.
//
// What:    CPython looks at its eval breaker at three kinds of instruction: the start of a function, a jump backwards,
//          and after a call of a C function. After a call its result is on the value stack only, and a lock that was
//          taken is in no `with` or `try` block yet, so that an exception there loses it; so does one after a yield. At
//          the other two nothing is under way. But the compiler may leave a jump backwards without the handlers that
//          its target has (3.13: cpython#130279, `try: while n < end: n += 1`; `while True: try:` on all versions): an
//          exception there would pass them by.
// Threads: any, attached. Source: InternalDocs/exception_handling.md in CPython (the format of co_exceptiontable).
#pragma once

#include <Python.h>

#include <cstdint>

namespace smarm {

enum class Place : std::uint8_t {
    function_start,  // nothing of the function has run
    loop_end,        // jumps back to where the same handlers apply
    uncovered_jump,  // jumps back to `target`, where other handlers apply
    elsewhere,
};

struct CodePosition {
    Place place = Place::elsewhere;
    int target = -1;  // of a jump: a byte offset
};

// Of the instruction at byte `offset` of `code`. Without memory: elsewhere.
CodePosition find_position(PyCodeObject* code, int offset) noexcept;

}  // namespace smarm
