// codec/functions.h: the codec as functions of smarm._core, for tests and tools.
//
// What:    _encode(value) -> bytes, _decode(bytes) -> value, _roundtrip(value) -> value, all with the keyword-only
//          options depth, size, allow_reduce, pickle, main_by_value; _is_immutable(value) -> bool;
//          _register_codec(type, name, encode, decode). Without options they are this interpreter's codec; with
//          options a new one, which knows no pids, channels or registered types.
// Not:     for native objects in _encode: bytes alone do not carry attachments (NotSendable says so).
#pragma once

#include <Python.h>

namespace smarm {

// Ends with an empty entry.
extern PyMethodDef codec_functions[];

}  // namespace smarm
