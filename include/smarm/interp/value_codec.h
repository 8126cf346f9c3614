// value_codec.h: the seam to the codec: values to parcels and back.
//
// What:    what the layers below the codec need of it: an actor's callable, arguments, result and exception travel as
//          parcels. smarm/codec/codec.h is the one implementation and has the contract of each call.
// Threads: the interpreter's own thread state must be attached. encode and decode run Python code, so they can park.
#pragma once

#include <Python.h>

#include "smarm/msg/parcel.h"

namespace smarm {

class ValueCodec {
public:
    virtual ~ValueCodec() = default;
    // nullptr with an exception set when the value cannot be sent; `root` names it in error paths.
    virtual OwnedParcel encode(PyObject* value, const char* root) = 0;
    // A new reference, or nullptr with an exception set.
    virtual PyObject* decode(const Parcel& parcel) = 0;
    // The same for what a spawn hands over.
    virtual PyObject* decode_function(const Parcel& parcel) = 0;
    virtual PyObject* decode_arguments(const Parcel& parcel) = 0;
    // Whether `value` may be shared by reference inside one interpreter. Runs no Python code, sets no exception.
    virtual bool is_immutable(PyObject* value) const noexcept = 0;
};

}  // namespace smarm
