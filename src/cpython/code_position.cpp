#include "cpython/code_position.h"

#include <optional>

#include "cpython/py_compat.h"
#include "opcode_ids.h"

namespace smarm {
namespace {

constexpr int kUnit = 2;        // bytes of an instruction: opcode, argument
constexpr int kJumpCaches = 1;  // units behind JUMP_BACKWARD, in 3.13 to 3.15

using Bytes = const unsigned char*;

// The number at `at`: six bits a byte, the highest first; bit 6 says that another follows.
unsigned read_number(Bytes& at, Bytes end) noexcept {
    unsigned number = 0;
    while (at < end) {
        const unsigned byte = *at++;
        number = number << 6 | (byte & 63);
        if (!(byte & 64)) break;
    }
    return number;
}

struct Handler {
    unsigned target;
    unsigned depth_and_flag;
    bool operator==(const Handler&) const = default;
};

std::optional<Handler> find_handler(PyCodeObject* code, int offset) noexcept {
    auto at = reinterpret_cast<Bytes>(PyBytes_AS_STRING(code->co_exceptiontable));
    const Bytes end = at + PyBytes_GET_SIZE(code->co_exceptiontable);
    const auto unit = static_cast<unsigned>(offset / kUnit);
    while (at < end) {  // sorted by their first instructions, none overlap
        const unsigned first = read_number(at, end);
        const unsigned size = read_number(at, end);
        const Handler handler{read_number(at, end), read_number(at, end)};
        if (unit < first) break;
        if (unit < first + size) return handler;
    }
    return std::nullopt;
}

// The argument of the instruction at `offset`, with the EXTENDED_ARGs before it.
int read_argument(Bytes code, int offset) noexcept {
    int argument = code[offset + 1];
    for (int shift = 8; shift <= 24; shift += 8) {
        offset -= kUnit;
        if (offset < 0 || code[offset] != EXTENDED_ARG) break;
        argument |= code[offset + 1] << shift;
    }
    return argument;
}

}  // namespace

CodePosition find_position(PyCodeObject* code, int offset) noexcept {
    PyObject* plain = PyCode_GetCode(code);  // as compiled: without what the interpreter specialised and instrumented
    if (!plain) return PyErr_Clear(), CodePosition{};
    const auto bytes = reinterpret_cast<Bytes>(PyBytes_AS_STRING(plain));
    CodePosition position;
    if (offset >= 0 && offset + 1 < PyBytes_GET_SIZE(plain)) {
        const int argument = read_argument(bytes, offset);
        if (bytes[offset] == RESUME && smarm_starts_function(argument)) {
            position.place = Place::function_start;
        } else if (bytes[offset] == JUMP_BACKWARD) {
            position.target = offset + kUnit * (1 + kJumpCaches - argument);
            const bool covered = find_handler(code, offset) == find_handler(code, position.target);
            position.place = covered ? Place::loop_end : Place::uncovered_jump;
        }
    }
    Py_DECREF(plain);
    return position;
}

}  // namespace smarm
