// codec/format.h: the bytes of an encoded value.
//
// What:    the tags and how their operands follow; a writer of numbers and a reader that never leaves the parcel.
//          One value is one tag byte, its operands, then its children as values. Numbers are in native byte order:
//          a parcel does not leave the process. `n` is a varint (LEB128).
//
//            0x00..0x3f  tags below        0x40..0x7f  Latin-1 string of 0..63 characters
//            0x80..0xff  int -16..111
//
// Memo:    objects that can occur twice get the numbers 0, 1, 2 ... in the order of these events:
//          - Mark before a str, bytes, int, bytearray, list, dict, set or buffer: it is numbered when it is opened,
//            so that its own contents can refer to it;
//          - a Global, Name or Member when it has been read;
//          - a MarkedTuple, MarkedFrozenSet, MarkedSlice, Custom or object: where its End-like trailer says Memo. It
//            says Use n instead when a cycle made another copy of it complete first: that copy counts.
//          Ref n is the object with that number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace smarm::codec {

// clang-format off: a table
enum class Tag : std::uint8_t {
    None, True, False, Ellipsis, NotImplemented,
    TypeOf,           // a value None, Ellipsis or NotImplemented: its type
    Int8, Int16, Int32, Int64,
    BigInt,           // n, n bytes of two's complement
    Float, Complex,   // 8, 16 bytes
    String1, String2, String4,  // n characters of so many bytes each
    Name,             // short string (0x40.. and its characters): a dict key that is likely to come again
    Bytes, ByteArray, // n, n bytes
    Buffer,           // as ByteArray, from a writable PickleBuffer
    Tuple, List, Set, FrozenSet,  // n, n values
    Dict,             // n, n times key and value
    Range, Slice,     // start, stop, step
    MarkedTuple, MarkedFrozenSet, MarkedSlice,  // as above, then Memo or Use n
    Pid,              // 8 bytes
    Native,           // type id (1 byte), n: position among the attachments
    Mark,             // the next value gets a number
    Ref,              // n
    Global,           // module, qualified name: two strings
    Member,           // class, name of the enum's member or number of a combination of flags
    Custom,           // name (a string), payload, then Memo or Use n

    // Objects. They are followed by parts (below) up to End.
    Plain,            // class: made without arguments, its state is its __dict__
    New,              // class, argument tuple: class.__new__(class, *arguments)
    NewKeywords,      // class, argument tuple, keyword dict
    Call,             // callable, argument tuple
    Exception,        // class, argument tuple: made by the nearest built-in base

    // Parts.
    Memo,             // the object gets a number
    Use,              // n: drop the object, it is that one
    Items,            // values up to End: appended
    Pairs,            // keys and values up to End: set as items
    State,            // value: __setstate__, or the attributes
    Setter,           // callable, state: callable(object, state)
    Cause, Context,   // exception: __cause__, __context__
    Suppress,         // __suppress_context__ = True
    End,
};
// clang-format on

inline constexpr unsigned kShortString = 0x40;
inline constexpr unsigned kShortStringMax = 63;
inline constexpr unsigned kSmallInt = 0x80;
inline constexpr long kSmallIntMin = -16;
inline constexpr long kSmallIntMax = 111;
inline constexpr std::size_t kVarintMax = 10;

// Returns how many bytes put_varint writes.
inline std::size_t varint_size(std::uint64_t number) noexcept {
    std::size_t size = 1;
    while (number >>= 7) ++size;
    return size;
}

// Returns the end of what it wrote.
inline std::byte* put_varint(std::byte* to, std::uint64_t number) noexcept {
    while (number >= 0x80) {
        *to++ = static_cast<std::byte>(number | 0x80);
        number >>= 7;
    }
    *to++ = static_cast<std::byte>(number);
    return to;
}

// Reads from [data, data + size) and nowhere else: each call says whether there was enough.
class Reader {
public:
    Reader(const std::byte* data, std::size_t size) noexcept : next_(data), end_(data + size) {}

    std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - next_); }
    bool byte(std::uint8_t& value) noexcept {
        if (next_ == end_) return false;
        value = static_cast<std::uint8_t>(*next_++);
        return true;
    }
    // Returns the next byte without taking it, or -1 at the end.
    int peek() const noexcept { return next_ == end_ ? -1 : static_cast<int>(*next_); }
    template <class T>
    bool number(T& value) noexcept {
        if (left() < sizeof value) return false;
        std::memcpy(&value, next_, sizeof value);
        next_ += sizeof value;
        return true;
    }
    bool varint(std::uint64_t& value) noexcept {
        value = 0;
        for (unsigned shift = 0; shift < 64 && next_ != end_; shift += 7) {
            auto part = static_cast<std::uint64_t>(*next_++);
            value |= (part & 0x7f) << shift;
            if (part < 0x80) return true;
        }
        return false;
    }
    // Returns the next `size` bytes, or nullptr when there are fewer.
    const std::byte* take(std::uint64_t size) noexcept {
        if (size > left()) return nullptr;
        const std::byte* bytes = next_;
        next_ += size;
        return bytes;
    }

private:
    const std::byte* next_;
    const std::byte* end_;
};

}  // namespace smarm::codec
