// codec/impl.h: what one interpreter's codec keeps between calls.
//
// What:    limits, the registered types, and the Python names and objects that both directions look up all the time.
//          Nothing about a single call is in here: a call can run Python code, and then other actors of the thread
//          use the same codec.
// Owner:   references to Python objects of one interpreter; the destructor needs it attached.
#pragma once

#include <vector>

#include "codec/handle.h"
#include "smarm/codec/codec.h"

namespace smarm::codec {

// Interned strings and objects of the standard library. Empty until prepare().
struct Cache {
    Handle main_name, main_alias, main_loaded;  // "__main__", "__smarm_main__", "__smarm_loaded__"
    Handle module_name, qualified_name, fields_name, dict_name;
    Handle reduce_ex_name, reduce_name, set_state_name, get_state_name, new_arguments_name, new_arguments_ex_name;
    Handle append_name, suppress_context_name;

    Handle dispatch_table, new_object, new_object_ex;  // of copyreg
    Handle object_reduce_ex, object_reduce, object_get_state;
    Handle protocol;      // the int 5
    Handle no_arguments;  // ()
    bool ready = false;

    // Fills what is empty. Returns false with an exception set. It can import, so several actors may be in it.
    bool prepare();
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
    codec::Cache cache;
};

}  // namespace smarm
