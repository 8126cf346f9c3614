// code_owner.h: whose code a function is: the program's, the standard library's, or smarm's.
//
// Threads: find_code_owners once, with the main interpreter attached, before any actor runs; owner_of any, attached.
#pragma once

#include <Python.h>

#include <cstdint>
#include <string_view>

namespace smarm {

enum class CodeOwner : std::uint8_t {
    program,  // and what it has installed
    library,  // the standard library, and the methods that it makes of text
    // what keeps locks and books by hand: smarm itself, and of the standard library asyncio, threading, queue and the
    // like
    bookkeeper,
    imports,  // importlib
};

// False with an exception set.
bool find_code_owners();

CodeOwner owner_of(const PyCodeObject* code) noexcept;

// The text of a str, which it belongs to; empty without memory for it.
std::string_view text_of(PyObject* string) noexcept;

}  // namespace smarm
