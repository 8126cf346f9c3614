// codec.h: Python values to parcels and back, for one interpreter.
//
// What:    encode(value) copies a value into a Parcel that any interpreter can decode; decode(parcel) makes a new
//          value from it. Built-in types are written directly; native objects (pids, channel ends) as attachments;
//          functions and classes by reference (module and qualified name); everything else by its parts, as copy and
//          pickle do (copyreg, __reduce_ex__(5), PickleBuffer), so the inside of any object is walked like a list.
//          What is shared or cyclic within one value stays so. Exceptions keep __cause__, __context__, __notes__ and
//          attributes, not their traceback, and are made again without calling an __init__ written in Python.
//          A mutable object is always copied; is_immutable() says what may go by reference inside one interpreter.
//          Native objects that move (buffers) have left their sender when encode returns a parcel, and are still there
//          when it returns none; Parcel::give_back undoes a send that fails later.
// Errors:  encode: NotSendable, whose message names the path inside the value ("args[0]['rows'][3].lock: _thread.lock
//          cannot be sent: ..."), or what the object's own code raised, with the path as a note. decode: DecodeError
//          for bytes that no encoder wrote, or what importing and calling raised. nullptr with an exception set.
// Limits:  depth of nesting and bytes of one value; beyond them NotSendable / DecodeError. Neither call recurses on
//          the C stack. decode never reads past the parcel, never allocates more than its size can justify.
// Not:     protection from a hostile sender of code: with Objects::any, decode imports and calls what the bytes name.
// Threads: the interpreter's own thread state must be attached. Both calls can run Python code, so they can park, and
//          then other actors of the thread may use the same Codec.
#pragma once

#include <Python.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "smarm/base/shared.h"
#include "smarm/interp/interpreter_state.h"
#include "smarm/interp/value_codec.h"

namespace smarm {

// Which values may travel beside those of built-in, native and registered types.
enum class Objects : std::uint8_t {
    none,
    data,  // what a receiver makes again without calling anything that the bytes name: see docs/explanation/security.md
    any,   // whatever pickle's protocol takes apart, with the functions that it names to be called by the receiver
};

struct CodecLimits {
    std::uint32_t depth = 500;                     // nested containers and objects
    std::uint64_t bytes = std::uint64_t{4} << 30;  // one value
    Objects objects = Objects::any;
};

// What each C++-backed Python type is called in the bytes of a message: numbered here, in order, and nowhere else.
enum class NativeId : std::uint8_t {
    none,  // 0 is no type
    sender,
    receiver,
    buffer,
    mutex,
    semaphore,
    event,
    condition,
    barrier,
    once,
    timer,
    count
};

// How a C++-backed Python type travels: as an attachment of the parcel.
struct NativeType {
    NativeId id = NativeId::none;
    PyTypeObject* type = nullptr;  // exact type, borrowed for the codec's life
    // Returns the native part (a new reference), or an empty Ref with a Python exception set.
    Ref<Shared> (*share)(PyObject* object) = nullptr;
    // Returns a new Python object that owns `native`, or nullptr with an exception set. Must check that `native` is of
    // its kind (dynamic_cast): the bytes may be wrong.
    PyObject* (*wrap)(Ref<Shared> native) = nullptr;
    // Optional, for types whose objects may be moved rather than shared (then share() returns a Cargo): whether this
    // one may be shared, by any number of receivers. Must not fail.
    bool (*is_shared)(PyObject* object) = nullptr;
};

// Pids are values: eight bytes inline.
struct PidType {
    PyTypeObject* type = nullptr;
    std::uint64_t (*bits)(PyObject* pid) = nullptr;
    PyObject* (*make)(std::uint64_t bits) = nullptr;
};

class Codec final : public ValueCodec {
public:
    explicit Codec(CodecLimits limits = {});
    ~Codec() override;
    Codec(const Codec&) = delete;
    Codec& operator=(const Codec&) = delete;

    void set_pid_type(PidType type);
    // Each id once.
    void add_native_type(NativeType type);
    // True: functions and classes of __main__ are shipped by value (cloudpickle), because no worker can import them
    // (REPL, -c, standard input).
    void set_main_by_value(bool by_value);
    void set_limits(CodecLimits limits);
    // With Objects::data: the modules whose functions messages may name, and which they may import.
    void set_trusted_modules(std::vector<std::string> names);

    // Registers how a type written in Python travels: `encode(object)` returns a sendable value, from which
    // `decode(value)` makes the object again in an interpreter that has registered the same name, or that finds the
    // function when the name is "module:qualified.name". Exact type only. Returns false with an exception set.
    bool add_python_codec(PyTypeObject* type, const char* name, PyObject* encode, PyObject* decode);
    // Forgets those of classes whose module is not in sys.modules any more. False: an exception is set.
    bool forget_python_codecs();

    // `root` names the value in error paths: "message", "args", "result".
    OwnedParcel encode(PyObject* value, const char* root) override;
    PyObject* decode(const Parcel& parcel) override;
    // What a spawn within the process hands over. It is no message: the function may be any that has a name, and it and
    // the classes among the arguments are imported. Its arguments are encoded as a message is.
    OwnedParcel encode_function(PyObject* function);
    PyObject* decode_function(const Parcel& parcel) override;
    PyObject* decode_arguments(const Parcel& parcel) override;
    // As decode, which also counts a message that is lost by a DecodeError, and names the first of a run on stderr.
    PyObject* decode_bytes(const Parcel& parcel);

    // Whether `value` may be shared by reference inside one interpreter: exact None, bool, int, float, complex, str,
    // bytes, Ellipsis, range, pid, native handles that are not moved, and tuples and frozensets of these (looked into
    // to a small depth; false when in doubt). Runs no Python code, sets no exception.
    bool is_immutable(PyObject* value) const noexcept override { return is_scalar(value) || is_immutable_at(value, 4); }
    // How much memory such a value takes, about; likewise.
    static std::size_t immutable_bytes(PyObject* value) noexcept;
    // The values of which that is true in every interpreter, most messages among them.
    static bool is_plain(PyObject* value) noexcept {
        PyTypeObject* type = Py_TYPE(value);
        return type == &PyUnicode_Type || type == &PyLong_Type || type == &PyFloat_Type || type == &PyBytes_Type ||
               value == Py_None || type == &PyBool_Type;
    }

    struct Impl;  // in src/

private:
    bool is_scalar(PyObject* value) const noexcept { return is_plain(value) || Py_TYPE(value) == pid_type_; }
    bool is_immutable_at(PyObject* value, int depth) const noexcept;

    PyTypeObject* pid_type_ = nullptr;
    std::unique_ptr<Impl> impl_;
};

// SAFETY: the module makes each interpreter's state, with a Codec.
inline Codec& codec_of(const InterpreterState& state) noexcept { return static_cast<Codec&>(*state.codec); }

}  // namespace smarm
