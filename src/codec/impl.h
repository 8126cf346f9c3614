// codec/impl.h: what one interpreter's codec keeps between calls.
//
// What:    limits, the registered types, and the Python names and objects that both directions look up all the time.
//          Nothing about a single call is in here: a call can run Python code, and then other actors of the thread
//          use the same codec.
// Owner:   references to Python objects of one interpreter; the destructor needs it attached.
#pragma once

#include <string>
#include <vector>

#include "codec/handle.h"
#include "smarm/codec/codec.h"

namespace smarm::codec {

// Interned strings and objects of the standard library. Empty until prepare().
struct Cache {
    Handle main_name, main_alias, main_loaded;  // "__main__", "__smarm_main__", "__smarm_loaded__"
    Handle module_name, qualified_name, fields_name, dict_name;
    Handle reduce_ex_name, reduce_name, set_state_name, get_state_name, new_arguments_name, new_arguments_ex_name;
    Handle append_name;
    Handle new_name, del_name, class_name, hash_name, args_name, dataclass_fields_name;
    Handle member_map_name, value_map_name, member_name_name, member_value_name, flag_mask_name, singles_mask_name;

    Handle dispatch_table, new_object, new_object_ex;  // of copyreg
    Handle object_reduce_ex, object_reduce, object_get_state;
    Handle protocol;      // the int 5
    Handle no_arguments;  // ()
    bool ready = false;

    // Fills what is empty. Returns false with an exception set. It can import, so several actors may be in it.
    bool prepare() { return ready || fill(); }

private:
    bool fill();
};

// How objects of a class are made where only data travel: see codec/data.h.
enum class DataKind : std::uint8_t {
    none,         // not at all
    record,       // a data class: object.__new__, then its fields
    named_tuple,  // tuple.__new__
    exception,    // its built-in base's __new__ and __init__
    member,       // of an enum, looked up by its name
    flag,         // the same, or a combination of flags by its number
    date,
    time,
    datetime,
    timedelta,
    timezone,
    zone_info,
    decimal,
    fraction,
    uuid,
    ref,  // by C code, or slot by slot
};

// What a parcel is: where only data travel, the parcels of a spawn may name more than a message.
enum class Names : std::uint8_t {
    message,
    arguments,  // of a spawn: classes of modules that its worker has not loaded yet
    function,   // of a spawn: its function, too
};

// What hashing an instance and comparing it with other keys runs.
enum class KeyKind : std::uint8_t {
    none,      // code of the program
    plain,     // C code, or a known function of the standard library
    contents,  // the same for its items, as a tuple
    zoned,     // the same for its time zone
};

// What is known of a class. What it borrows belongs to the class.
struct DataClass {
    PyTypeObject* type = nullptr;
    unsigned version = 0;
    DataKind kind = DataKind::none;
    KeyKind key = KeyKind::none;
    const char* why = nullptr;                // it is none
    PyObject* fields = nullptr;               // a data class's dict of them, if any, a named tuple's tuple
    PyObject* reduce = nullptr;               // an exception's __reduce__
    bool (*takes)(PyObject* args) = nullptr;  // whether an exception's args are taken without calling anything of them
};

// A name that instances of the class with this version tag may have an attribute of.
struct DataAttribute {
    unsigned version = 0;
    Handle name;
};

}  // namespace smarm::codec

namespace smarm {

struct Codec::Impl {
    CodecLimits limits;
    PidType pid;
    std::vector<NativeType> natives;  // a handful; searched linearly
    bool main_by_value = false;
    codec::Handle python_encoders;  // dict: type -> (name, encode, decode), or empty
    codec::Handle python_decoders;  // dict: name -> decode, or empty
    std::vector<std::string> trusted_modules;
    codec::Handle cached_property;  // functools.cached_property, or empty
    codec::Handle gcd;              // math.gcd, or empty
    codec::DataClass data_classes[64];
    codec::DataAttribute data_attributes[64];
    codec::Cache cache;
};

}  // namespace smarm
