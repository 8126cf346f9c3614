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

#include "codec/handle.h"
#include "codec/impl.h"

namespace smarm::codec {

// Returns what a class or its bases have under this name, as it stands in their dicts (borrowed), or nullptr. `owner`:
// whose dict that is. Sets no exception.
PyObject* find_in_class(PyTypeObject* type, PyObject* name, PyTypeObject** owner = nullptr);

// How instances of the class are made. `why` is set when the kind is none.
DataClass data_class(Codec::Impl& codec, PyTypeObject* type);

// Whether instances may have such an entry in their __dict__: it must be a field, or hide no method or other callable.
bool is_data_attribute(Codec::Impl& codec, PyTypeObject* type, const DataClass& data, PyObject* name);

// Returns the descriptor (borrowed) of a slot that can be set without a call, or nullptr.
PyObject* find_slot(PyTypeObject* type, PyObject* name);

// Whether it is a field that an ImportError or AttributeError has beside its args: a name or a path.
bool is_exception_field(PyTypeObject* type, PyObject* name, PyObject* value);

// Whether a built-in exception class takes these arguments without calling anything of them.
bool are_exception_arguments(PyTypeObject* type, PyObject* arguments);

// Returns the built-in class that an exception class comes from.
PyTypeObject* builtin_base(PyTypeObject* type);

// Whether hashing the object and comparing it with other keys runs nothing of the program.
bool is_data_key(Codec::Impl& codec, PyObject* key);

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
