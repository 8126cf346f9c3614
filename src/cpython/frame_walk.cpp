#include "smarm/cpython/frame_walk.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "cpython/py_compat.h"
#include "smarm/base/safe_read.h"

namespace smarm {
namespace {

constexpr std::size_t kTextBytes = 512;

// Writes the text of a str object.
void read_text(const PyObject* object, char (&text)[kTextBytes]) {
    text[0] = '?';
    text[1] = 0;
    PyASCIIObject header;
    if (!object || !safe_read(object, &header, sizeof header) || header.ob_base.ob_type != &PyUnicode_Type) return;
    const std::size_t length = std::min(static_cast<std::size_t>(header.length), kTextBytes - 1);
    const std::size_t width = header.state.ascii ? 1 : header.state.kind;
    const std::size_t offset = header.state.ascii ? sizeof(PyASCIIObject) : sizeof(PyCompactUnicodeObject);
    if (!header.state.compact || width == 0 || width > 4) return;
    unsigned char bytes[kTextBytes * 4];
    if (!safe_read(reinterpret_cast<const char*>(object) + offset, bytes, length * width)) return;
    for (std::size_t i = 0; i < length; ++i) {
        std::uint32_t character = 0;
        for (std::size_t byte = 0; byte < width; ++byte)
            character |= std::uint32_t{bytes[i * width + byte]} << 8 * byte;
        text[i] = character < 128 ? static_cast<char>(character) : '?';
    }
    text[length] = 0;
}

// The bytes of a code object's location table, a piece at a time.
class LocationTable {
public:
    LocationTable(const char* first, std::size_t size) noexcept : first_(first), size_(size) {}
    bool at_end() const noexcept { return at_ >= size_; }
    unsigned peek() noexcept {
        if (at_ < from_ || at_ >= from_ + sizeof piece_ || !filled_) fill();
        return piece_[at_ - from_];
    }
    unsigned next() noexcept {
        const unsigned byte = peek();
        ++at_;
        return byte;
    }
    unsigned next_varint() noexcept {
        unsigned value = 0;
        for (unsigned shift = 0; !at_end() && shift < 32; shift += 6) {
            const unsigned byte = next();
            value |= (byte & 63) << shift;
            if (!(byte & 64)) break;
        }
        return value;
    }

private:
    void fill() noexcept {
        from_ = at_;
        filled_ = true;
        if (!safe_read(first_ + from_, piece_, std::min(sizeof piece_, size_ - from_))) size_ = from_ = at_ = 0;
    }
    const char* first_;
    std::size_t size_;
    std::size_t at_ = 0;
    std::size_t from_ = 0;
    bool filled_ = false;
    unsigned char piece_[256] = {};
};

// The line of the instruction at `offset` code units, from the code object's location table.
// Source: "Locations" in CPython's InternalDocs/code_objects.md.
int find_line(const PyObject* linetable, int first_line, std::ptrdiff_t offset) {
    PyBytesObject header;
    if (!linetable || !safe_read(linetable, &header, offsetof(PyBytesObject, ob_sval)) ||
        header.ob_base.ob_base.ob_type != &PyBytes_Type || header.ob_base.ob_size < 0 ||
        header.ob_base.ob_size > 1 << 20)
        return first_line;
    LocationTable table(reinterpret_cast<const char*>(linetable) + offsetof(PyBytesObject, ob_sval),
                        static_cast<std::size_t>(header.ob_base.ob_size));
    int line = first_line;
    std::ptrdiff_t start = 0;
    while (!table.at_end()) {
        const unsigned entry = table.next();
        const unsigned kind = entry >> 3 & 15;
        if (kind == 14 || kind == 13) {  // long form, no column: a signed difference of lines
            const unsigned encoded = table.next_varint();
            line += encoded & 1 ? -static_cast<int>(encoded >> 1) : static_cast<int>(encoded >> 1);
        } else if (kind >= 10 && kind <= 12) {
            line += static_cast<int>(kind) - 10;
        }
        start += (entry & 7) + 1;
        if (start > offset) return line;
        while (!table.at_end() && !(table.peek() & 128)) table.next();  // the rest of this entry
    }
    return line;
}

}  // namespace

void walk_frames(const PyThreadState* state, int most, const std::function<void(const FrameLine&)>& visit) {
    PyThreadState copy;
    if (!state || !safe_read(state, &copy, sizeof copy)) return;
    const void* frame = copy.current_frame;
    char file[kTextBytes];
    char function[kTextBytes];
    // The frames of a running actor change under our eyes and may even seem to go round in a circle: the steps are
    // counted too.
    for (int depth = 0, steps = 0; frame && depth < most && steps < 2 * most + 10; ++steps) {
        SmarmFrame seen;
        alignas(std::max_align_t) char bytes[SMARM_FRAME_BYTES];
        if (!safe_read(frame, bytes, sizeof bytes)) return;
        smarm_read_frame(bytes, &seen);
        frame = seen.previous;
        PyCodeObject code;
        if (!seen.code || !safe_read(seen.code, &code, sizeof code) ||
            Py_TYPE(reinterpret_cast<PyObject*>(&code)) != &PyCode_Type)
            continue;  // an entry frame of the interpreter
        const auto* first = reinterpret_cast<const char*>(seen.code) + offsetof(PyCodeObject, co_code_adaptive);
        const std::ptrdiff_t offset = (static_cast<const char*>(seen.instruction) - first) / 2;
        read_text(code.co_filename, file);
        read_text(code.co_qualname, function);
        visit({file, function, find_line(code.co_linetable, code.co_firstlineno, offset)});
        ++depth;
    }
}

}  // namespace smarm
