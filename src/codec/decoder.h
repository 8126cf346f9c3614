// codec/decoder.h: one call of Codec::decode: the value is built bottom up from the bytes.
//
// What:    reads codec/format.h with a stack of its own. A frame is a container or object that still needs children;
//          a finished child is handed to the frame below.
// Trust:   none in the bytes: every read is checked against the end; the announced children of all containers together
//          must fit in the parcel's size, so memory stays proportional to it; references and attachments are
//          checked; a container under construction is always safe to look at. But importing and calling what a
//          Global or an object names is as trusted as pickle is, unless CodecLimits::objects is data: then nothing that
//          the bytes name is called (codec/data.h).
// Errors:  nullptr with DecodeError set, or whatever the Python code that it called raised.
#pragma once

#include "codec/format.h"
#include "codec/handle.h"
#include "codec/impl.h"
#include "codec/stack.h"

namespace smarm::codec {

enum class Build : std::uint8_t { List, Tuple, Slice, Set, Dict, Attributes, Object, Custom };

// What an Object frame's next child is.
// clang-format off: a table
enum class Await : std::uint8_t {
    Callable, Arguments, Keywords, Part, Item, PairKey, PairValue, State, Setter, SetterState, Cause, Context,
};
// clang-format on

struct BuildFrame {
    PyObject* object;  // owned: what is filled; an Object's callable until it is made; a Custom's decode function
    PyObject* extra;   // owned, may be nullptr: the key, the argument tuple or the setter that came before
    Py_ssize_t index;  // children stored
    Py_ssize_t count;  // children announced
    Build build;
    Tag tag;
    Await await;
    bool marked;  // Memo or Use follows the contents
};

class Decoder {
public:
    Decoder(Codec::Impl& codec, const Parcel& parcel, Names names) noexcept
        : codec_(codec),
          cache_(codec.cache),
          parcel_(parcel),
          travels_as_(names),
          reader_(parcel.data(), parcel.size()) {}
    ~Decoder();
    PyObject* run();

private:
    enum class Step : std::uint8_t { Value, Opened, Failed };

    // codec/decode.cpp: the loop and the built-in types. `value` is a new reference when the result is Value; resume
    // and the fill functions take over the child in it, nullptr when there is none yet.
    PyObject* build();
    Step resume(PyObject*& value);
    Step fill_list(PyObject*& value);
    Step fill_tuple(PyObject*& value);
    Step fill_set(PyObject*& value);
    Step fill_dict(PyObject*& value);
    Step read(PyObject*& value);
    template <class T>
    Step read_int(PyObject*& value);
    Step read_other(Tag tag, bool mark, PyObject*& value);
    Step open_sequence(Tag tag, bool mark, PyObject*& value);
    Step finish(PyObject*& value);
    Step push(Build build, PyObject* object, Py_ssize_t count, Tag tag, bool marked);
    void pop();
    PyObject* read_string(Tag tag);
    PyObject* read_name();
    PyObject* read_wide_string(std::uint64_t length, int kind);
    PyObject* read_bytes(Tag tag);
    PyObject* read_number(Tag tag);
    PyObject* read_range();
    PyObject* read_ref();
    PyObject* read_type();
    PyObject* read_native();
    // Counts announced children, each of so many values.
    bool claim(std::uint64_t count, std::uint64_t values);
    // Whether the object may be hashed.
    bool add_key(PyObject* key) { return PyUnicode_CheckExact(key) || PyLong_CheckExact(key) || check_key(key); }
    bool check_key(PyObject* key);
    bool add_attribute(BuildFrame& frame);
    bool only_data() const { return codec_.limits.objects == Objects::data; }
    void remember(PyObject* value) {
        memo_.push(value);
        Py_INCREF(value);
    }

    // codec/decode_object.cpp: what needs Python code.
    PyObject* read_global();
    PyObject* read_global_name();
    Step open_object(Tag tag);
    Handle find_decoder(PyObject* name);
    Handle find_registered(const Handle& module, PyObject* name);
    Step open_custom();
    Step fill_custom(PyObject*& value);
    Step fill_object(PyObject*& value);
    bool accept(BuildFrame& frame, Handle child);
    bool accept_callable(BuildFrame& frame, Handle callable);
    // Reads the next part's tag; `done` when it was the last, with the object in `value`.
    bool next_part(BuildFrame& frame, PyObject*& value, bool& done);
    bool make(BuildFrame& frame, PyObject* arguments, PyObject* keywords);
    PyObject* make_exception(PyTypeObject* type, PyObject* arguments);
    bool append_item(BuildFrame& frame, PyObject* item);
    bool set_item(PyObject* object, PyObject* key, PyObject* item);
    Step open_attributes(BuildFrame& frame);
    bool set_state(const BuildFrame& frame, PyObject* state);
    bool set_attributes(PyObject* object, PyObject* attributes);
    bool set_cause(BuildFrame& frame, Handle exception);

    // codec/decode_data.cpp: the same without a call, where only data travel.
    bool accept_data_class(BuildFrame& frame, Handle object);
    bool make_data(BuildFrame& frame, PyObject* arguments);
    bool set_data_state(const BuildFrame& frame, PyObject* state);
    bool set_data_attribute(PyObject* object, DataKind kind, PyObject* name, PyObject* value);
    PyObject* read_member();
    PyObject* read_data_global(PyObject* module, PyObject* name);
    bool refuse_attribute(PyTypeObject* type, PyObject* name);
    std::nullptr_t refuse_class(PyTypeObject* type, const char* why);

    // Sets DecodeError. `bad` and `fail` are for the two kinds of callers; `refuse` makes the text as PyErr_Format
    // does, and must not be given objects whose text is made by code of the program.
    std::nullptr_t bad(const char* what);
    std::nullptr_t refuse(const char* format, ...);
    Step fail(const char* what) {
        bad(what);
        return Step::Failed;
    }
    // Makes DecodeError of a pending TypeError, ValueError or OverflowError that the bytes are to blame for.
    std::nullptr_t blame();

    Codec::Impl& codec_;
    Cache& cache_;
    const Parcel& parcel_;
    const Names travels_as_;
    Reader reader_;
    std::uint64_t claimed_ = 0;  // children announced so far
    bool in_member_ = false;     // what is read names a member of an enum
    Stack<BuildFrame, 12> frames_;
    Stack<PyObject*, 8> memo_;  // owned
};

}  // namespace smarm::codec
