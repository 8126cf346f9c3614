// codec/data.h: what Objects::data lets a message name and make. The encoder and the decoder ask the same questions
// here.
//
// What:    data_class() says how the instances of a class are made again without running anything of the class;
//          find_data_global() what a name in a message stands for; is_data_key() what may be hashed and compared.
// Trust:   none of these runs code of the program, whatever the classes are: modules and classes are read through their
//          dicts, not through attributes, so neither descriptors nor metaclasses nor a module's __getattr__ have a say.
//          What they import is in the table of known modules, or in CodecLimits' trusted modules.
// Threads: the interpreter must be attached. find_data_global can import, and therefore park; the others cannot.
#pragma once

#include <iterator>

#include "codec/handle.h"
#include "codec/impl.h"

namespace smarm::codec {

// Why instances of a class cannot be sent: what the class hides, no codec of ours can see.
inline constexpr const char* kHiddenState = "it keeps state outside of its attributes; smarm.register_codec() it";

// Returns what a class or its bases have under this name, as it stands in their dicts (borrowed), or nullptr. `owner`:
// whose dict that is. Sets no exception.
PyObject* find_in_class(PyTypeObject* type, PyObject* name, PyTypeObject** owner = nullptr);

// Looks at the class, and remembers what it saw until the class changes.
DataClass look_at_class(Codec::Impl& codec, PyTypeObject* type);

// Where what is known of a class is kept, until it is that of another one.
inline DataClass& known_class(Codec::Impl& codec, PyTypeObject* type) {
    return codec.data_classes[(reinterpret_cast<std::uintptr_t>(type) >> 6) % std::size(codec.data_classes)];
}

// SAFETY: an entry has no references. A version tag is never given to two classes, and changes with every change of a
//         class or of its bases: where address and tag agree it is the same class, unchanged, and so is what it keeps.
inline bool is_known(const DataClass& known, PyTypeObject* type) {
    return known.type == type && known.version == type->tp_version_tag && known.version != 0;
}

// How instances of the class are made. `why` is set when the kind is none.
inline DataClass data_class(Codec::Impl& codec, PyTypeObject* type) {
    const DataClass& known = known_class(codec, type);
    return is_known(known, type) ? known : look_at_class(codec, type);
}

// One of the things that are known of the class.
template <class T>
T ask_class(Codec::Impl& codec, PyTypeObject* type, T DataClass::* answer) {
    const DataClass& known = known_class(codec, type);
    return is_known(known, type) ? known.*answer : look_at_class(codec, type).*answer;
}

inline DataKind data_kind(Codec::Impl& codec, PyTypeObject* type) { return ask_class(codec, type, &DataClass::kind); }

// Looks for the name in the class, and remembers it if no answer to another question can change that.
bool look_at_attribute(Codec::Impl& codec, PyTypeObject* type, PyObject* name, DataAttribute& place);

// Whether instances may have such an entry in their __dict__: it must be a field, or hide no method or other callable.
inline bool is_data_attribute(Codec::Impl& codec, PyTypeObject* type, PyObject* name) {
    const std::uintptr_t mixed = (reinterpret_cast<std::uintptr_t>(name) >> 4) ^ type->tp_version_tag;
    DataAttribute& known = codec.data_attributes[mixed % std::size(codec.data_attributes)];
    if (known.name.get() == name && known.version == type->tp_version_tag && known.version != 0) return true;
    return look_at_attribute(codec, type, name, known);
}

// Returns the descriptor (borrowed) of a slot that can be set without a call, or nullptr.
PyObject* find_slot(PyTypeObject* type, PyObject* name);

// Whether it is a field that an ImportError or AttributeError has beside its args: a name or a path.
bool is_exception_field(PyTypeObject* type, PyObject* name, PyObject* value);

// How exceptions of the class are made.
DataClass look_at_exception(Cache& cache, PyTypeObject* type);

// The answer to is_data_key that goes for all instances of the class.
KeyKind key_kind(Cache& cache, PyTypeObject* type, DataKind kind);

// Whether the class has under this name what `from` has.
bool is_inherited(PyTypeObject* type, PyTypeObject* from, PyObject* name);

// Whether an instance has what `root` has, slots and a __dict__, and no other state: that of a class in C would not be
// set up.
bool has_visible_state(PyTypeObject* type, PyTypeObject* root);

// Returns the built-in class that an exception class comes from.
PyTypeObject* builtin_base(PyTypeObject* type);

// Whether hashing the object and comparing it with other keys runs nothing of the program.
bool look_at_key(Codec::Impl& codec, PyObject* key);

inline bool is_data_key(Codec::Impl& codec, PyObject* key) {
    const auto is_simple = [](PyObject* object) { return PyUnicode_CheckExact(object) || PyLong_CheckExact(object); };
    if (!PyTuple_CheckExact(key)) return is_simple(key) || look_at_key(codec, key);
    for (Py_ssize_t index = 0; index < PyTuple_GET_SIZE(key); ++index) {
        if (!is_simple(PyTuple_GET_ITEM(key, index))) return look_at_key(codec, key);
    }
    return true;
}

// Whether the program listed the module: its functions may be named, and it may be imported.
bool is_trusted_module(const Codec::Impl& codec, PyObject* module);

// Returns the class, or the function of a trusted module, that the name stands for. Empty: `why` says why not, or an
// exception is set. may_import: also from a module that is not loaded yet (the arguments of a spawn).
Handle find_data_global(Codec::Impl& codec, PyObject* module, PyObject* qualified_name, bool may_import,
                        const char** why);

// Returns a class of the standard library or of smarm by its constant name, imported if need be.
Handle find_known_class(const char* module, const char* name);

// Returns a member (owned) of an enum, or nothing, without an exception, when the class has none of that name.
Handle find_member(Cache& cache, PyTypeObject* type, PyObject* name);

// Whether combinations of the flags of a class need nothing but their number.
bool has_plain_combinations(PyTypeObject* type);

// Returns the combination of flags that has this value, made if need be as enum.Flag does; or nothing, without an
// exception. For classes of kind flag.
Handle find_combination(Cache& cache, PyTypeObject* type, PyObject* value);

}  // namespace smarm::codec
