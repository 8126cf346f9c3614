// codec/encoder.h: one call of Codec::encode: the walk over a value.
//
// What:    visits the value depth first with a stack of its own and appends bytes (codec/format.h). A frame is a
//          container whose children are being written; the frames from bottom to top are the path of an error, so a
//          path costs nothing until something fails.
// Owner:   each frame holds references to what it walks. Python code (reduce functions, iterators) may change a
//          container meanwhile: every step checks sizes again and fails with NotSendable when they do not match.
// Memo:    objects that run Python code to be taken apart, and built-in containers with more than one reference at
//          the time when they are met. An unshared list that only such code reaches a second time is copied twice.
// Errors:  Failed with a Python exception set. Internally std::bad_alloc and TooLarge are thrown, and caught by run().
#pragma once

#include <iterator>

#include "codec/format.h"
#include "codec/handle.h"
#include "codec/impl.h"
#include "codec/memo.h"
#include "codec/stack.h"

namespace smarm::codec {

enum class Kind : std::uint8_t {
    List,    // index: next item
    Tuple,   // index: next item
    Set,     // also frozenset; held: its iterator
    Dict,    // index: of PyDict_Next; held: the value that follows the key being written
    Slice,   // index: 0..3
    Object,  // held: the reduce tuple, or a Plain object's state
    Items,   // object: iterator of an object's list items
    Pairs,   // object: iterator of an object's dict items; held: the pair being written
    Custom,  // held: the payload
};

// What an Object frame writes now; a Dict or Pairs frame says Key or Value.
// clang-format off: a table
enum class Phase : std::uint8_t {
    Callable, Arguments, Keywords, Made, Items, Pairs, State, Setter, SetterState, Cause, Context, End,
    Key, Value,
};
// clang-format on

struct Frame {
    PyObject* object;  // owned: what is walked
    PyObject* held;    // owned, may be nullptr
    Py_ssize_t index;  // see Kind; Items and Pairs: how many were taken
    Py_ssize_t count;  // children announced (by an iterator's length hint); Dict: still to come
    Kind kind;
    Phase phase;   // the one whose child is being written
    Tag tag;       // of an Object
    bool marked;   // the contents are followed by Memo or Use
    bool counted;  // towards the depth limit
    bool checked;  // a Dict of attributes, of the object below, whose names have to be looked at
};

using Frames = Stack<Frame, 12>;

// Returns the path to what the top frame is writing: "args[0]['rows'][3].lock", or nullptr with an exception set.
PyObject* path_of(const Frames& frames, const char* root, const Cache& cache);

// Returns what to do instead of sending an object of this type, or nullptr.
const char* hint_for(const char* type_name);

class Encoder {
public:
    Encoder(Codec::Impl& codec, const char* root, Names names) noexcept
        : codec_(codec), cache_(codec.cache), root_(root), travels_as_(names), limit_(codec.limits.bytes) {}
    ~Encoder();
    OwnedParcel run(PyObject* value);

private:
    enum class Step : std::uint8_t { Done, Opened, Failed };
    struct TooLarge {};

    // codec/encode.cpp: the walk, and containers of built-in types.
    Step walk(PyObject* value);
    Step advance();
    Step advance_list();
    Step advance_tuple();
    Step advance_dict();
    Step advance_set();
    Step advance_slice();
    Step advance_custom();
    Step open_sequence(Kind kind, Tag tag, PyObject* value, Py_ssize_t count);
    Step open_set(Tag tag, PyObject* value);

    // codec/encode_leaf.cpp: values by type.
    Step write(PyObject* value);
    Step write_other(PyObject* value);
    bool write_int(PyObject* value);
    bool write_big_int(PyObject* value);
    void write_string(PyObject* value);
    void write_key(PyObject* key);
    Step write_bytes(Tag tag, PyObject* value, const char* data, Py_ssize_t size);
    Step write_buffer(PyObject* value);
    Step write_large(PyObject* value, const Py_buffer& view);
    const NativeType* find_buffer_type() const;
    Step write_range(PyObject* value);
    void put_native(NativeId id, Ref<Shared> shared);
    Step write_native(const NativeType& type, PyObject* borrowed);

    // codec/encode_object.cpp: everything that needs Python code.
    Step write_object(PyObject* borrowed);
    Step write_custom(PyObject* value, PyObject* entry);
    Step open_plain(PyObject* value, Handle state);
    Step open_parts(PyObject* value, Tag tag, Handle reduced);
    Step open_reduced(PyObject* value, Handle reduced);
    Step check_reduced(PyObject* value, PyObject* reduced);
    Tag tag_of_reduced(PyObject* value, PyObject* reduced);
    Step advance_object();
    Step advance_items();
    Step advance_pairs();
    Step write_phase(Frame& frame);
    Step write_part(Tag tag, PyObject* value);
    Step write_arguments(Tag tag, PyObject* arguments);
    Step write_plain_state(PyObject* state);
    Step open_iterator(Kind kind, Tag tag, PyObject* iterator);
    bool count_item(Frame& frame);
    int is_plain(PyTypeObject* type);
    void add_plain(PyTypeObject* type) { plain_types_[next_plain_type_++ % std::size(plain_types_)] = type; }
    Handle reduce(PyObject* value);
    Handle reduce_set(PyObject* value);

    // codec/encode_data.cpp: the same where only data travel.
    bool only_data() const { return codec_.limits.objects == Objects::data; }
    Step write_data_object(PyObject* value);
    Step write_data_global(PyObject* value, PyObject* name);
    Step write_member(PyObject* value, DataKind kind);
    Step open_record(PyObject* value);
    Step open_exception(PyObject* value, const DataClass& data);
    bool check_attributes(PyObject* value, PyObject* state);
    bool check_attribute(PyObject* owner, PyObject* name, PyObject* value);
    // Whether the receiver may hash it. False with an exception set.
    bool may_be_key(PyObject* key) {
        return !only_data() || PyUnicode_CheckExact(key) || PyLong_CheckExact(key) || check_key(key);
    }
    bool check_key(PyObject* key);
    Step refuse_data(PyObject* value, const char* why);

    // codec/encode_global.cpp: functions and classes.
    Step write_function_or_class(PyObject* value);
    int is_importable(PyObject* value, PyObject* name);
    Step write_global(PyObject* value, PyObject* name);
    Step put_global(PyObject* value, PyObject* module, PyObject* name);
    void write_name(PyObject* name);
    Handle reduce_by_value(PyObject* value);
    bool prepare_by_value();

    // Output.
    std::byte* room(std::size_t bytes) {
        if (bytes > limit_ - builder_.size()) throw TooLarge();
        return builder_.append(bytes);
    }
    // Counts bytes that are copied beside the parcel.
    void claim(std::size_t bytes) {
        if (bytes > limit_ - builder_.size()) throw TooLarge();
        limit_ -= bytes;
    }
    void put(Tag tag) { *room(1) = static_cast<std::byte>(tag); }
    void put_number(Tag tag, std::uint64_t number) {
        std::byte* to = room(1 + varint_size(number));
        *to++ = static_cast<std::byte>(tag);
        put_varint(to, number);
    }
    // Writes tag, size and bytes.
    void put_bytes(Tag tag, std::uint64_t number, const void* data, std::size_t size);

    // Frames and memo.
    static bool is_shared(PyObject* object) noexcept { return Py_REFCNT(object) > 1; }
    bool is_level(Kind kind) const;
    Step push(Kind kind, PyObject* object, Py_ssize_t count);
    void pop();
    // Writes Ref and returns true if the object has been written.
    bool put_ref(PyObject* value);
    // Numbers an object before its contents, unless nothing else can refer to it; true if it was a Ref.
    bool seen(PyObject* value) { return is_shared(value) && marked_before(value); }
    // The same for an object that can be met again although nothing seems to refer to it.
    bool marked_before(PyObject* value);
    // Numbers an object whose contents are written; false if a cycle already made a copy of it.
    bool put_memo(PyObject* value);

    // Errors: each sets an exception and returns Failed.
    Step unsendable(PyObject* value, const char* reason);
    Step refuse(const char* format, ...);
    Step refuse_depth(PyObject* object);
    Step changed(const char* type);
    // The pending exception came out of Python code: names the path in it.
    Step explain(PyObject* value);

    Codec::Impl& codec_;
    Cache& cache_;
    const char* root_;
    const Names travels_as_;
    std::uint64_t limit_;  // bytes that builder_ may get
    ParcelBuilder builder_;
    Frames frames_;
    Memo memo_;
    std::uint32_t depth_ = 0;
    std::uint32_t names_ = 0;        // keys written as Name
    std::uint32_t names_again_ = 0;  // keys that then were a Ref
    // The last types found to be plain, or data classes, which need not be asked again; borrowed from the memo.
    PyTypeObject* plain_types_[4] = {};
    unsigned next_plain_type_ = 0;
    Handle by_value_;        // cloudpickle's pickler of this call
    Handle by_value_table_;  // and its dispatch table
};

}  // namespace smarm::codec
