#include "smarm/interp/frame_walk.h"

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "interp/py_compat.h"

namespace smarm {
namespace {

bool read_memory(const void* address, void* into, std::size_t size) {
    iovec local{into, size};
    iovec remote{const_cast<void*>(address), size};
    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == static_cast<ssize_t>(size);
}

// The text of a str object, other characters than ASCII as '?'.
std::string read_text(const PyObject* object) {
    constexpr std::size_t kMost = 512;
    PyASCIIObject header;
    if (!object || !read_memory(object, &header, sizeof header) || header.ob_base.ob_type != &PyUnicode_Type) return "?";
    const std::size_t length = std::min(static_cast<std::size_t>(header.length), kMost);
    const std::size_t width = header.state.ascii ? 1 : header.state.kind;
    const std::size_t offset = header.state.ascii ? sizeof(PyASCIIObject) : sizeof(PyCompactUnicodeObject);
    if (!header.state.compact || width == 0 || width > 4) return "?";
    std::vector<unsigned char> bytes(length * width);
    if (!read_memory(reinterpret_cast<const char*>(object) + offset, bytes.data(), bytes.size())) return "?";
    std::string text;
    for (std::size_t i = 0; i < length; ++i) {
        std::uint32_t character = 0;
        for (std::size_t byte = 0; byte < width; ++byte) character |= std::uint32_t{bytes[i * width + byte]} << 8 * byte;
        text += character < 128 ? static_cast<char>(character) : '?';
    }
    return text;
}

unsigned read_varint(const std::vector<unsigned char>& table, std::size_t& at) {
    unsigned value = 0;
    for (unsigned shift = 0; at < table.size() && shift < 32; shift += 6) {
        const unsigned char byte = table[at++];
        value |= static_cast<unsigned>(byte & 63) << shift;
        if (!(byte & 64)) break;
    }
    return value;
}

// The line of the instruction at `offset` code units, from the code object's location table.
// Source: "Locations" in CPython's InternalDocs/code_objects.md.
int find_line(const PyObject* linetable, int first_line, std::ptrdiff_t offset) {
    PyBytesObject header;
    if (!linetable || !read_memory(linetable, &header, offsetof(PyBytesObject, ob_sval)) ||
        header.ob_base.ob_base.ob_type != &PyBytes_Type || header.ob_base.ob_size < 0 || header.ob_base.ob_size > 1 << 20)
        return first_line;
    std::vector<unsigned char> table(static_cast<std::size_t>(header.ob_base.ob_size));
    if (!read_memory(reinterpret_cast<const char*>(linetable) + offsetof(PyBytesObject, ob_sval), table.data(), table.size()))
        return first_line;
    int line = first_line;
    std::ptrdiff_t start = 0;
    for (std::size_t at = 0; at < table.size();) {
        const unsigned char entry = table[at++];
        const unsigned kind = entry >> 3 & 15;
        if (kind == 14 || kind == 13) {  // long form, no column: a signed difference of lines
            const unsigned encoded = read_varint(table, at);
            line += encoded & 1 ? -static_cast<int>(encoded >> 1) : static_cast<int>(encoded >> 1);
        } else if (kind >= 10 && kind <= 12) {
            line += static_cast<int>(kind) - 10;
        }
        start += (entry & 7) + 1;
        if (start > offset) return line;
        while (at < table.size() && !(table[at] & 128)) ++at;  // the rest of this entry
    }
    return line;
}

}  // namespace

void walk_frames(const PyThreadState* state, int most, const std::function<void(const FrameLine&)>& visit) {
    PyThreadState copy;
    if (!state || !read_memory(state, &copy, sizeof copy)) return;
    const void* frame = copy.current_frame;
    // The frames of a running actor change under our eyes and may even seem to go round in a circle: the steps are counted too.
    for (int depth = 0, steps = 0; frame && depth < most && steps < 2 * most + 10; ++steps) {
        SmarmFrame seen;
        alignas(std::max_align_t) char bytes[SMARM_FRAME_BYTES];
        if (!read_memory(frame, bytes, sizeof bytes)) return;
        smarm_read_frame(bytes, &seen);
        frame = seen.previous;
        PyCodeObject code;
        if (!seen.code || !read_memory(seen.code, &code, sizeof code) || Py_TYPE(reinterpret_cast<PyObject*>(&code)) != &PyCode_Type)
            continue;  // an entry frame of the interpreter
        const auto* first = reinterpret_cast<const char*>(seen.code) + offsetof(PyCodeObject, co_code_adaptive);
        const std::ptrdiff_t offset = (static_cast<const char*>(seen.instruction) - first) / 2;
        visit({read_text(code.co_filename), read_text(code.co_qualname), find_line(code.co_linetable, code.co_firstlineno, offset)});
        ++depth;
    }
}

}  // namespace smarm
