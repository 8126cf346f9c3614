// lock_types.h: smarm.Mutex and smarm.Semaphore, and what their hold() returns. A part of sync_types.h.
#pragma once

#include <Python.h>

#include "bind/native_object.h"
#include "smarm/wait/mutex.h"
#include "smarm/wait/semaphore.h"

namespace smarm::bind {

template <>
struct TypeOf<Mutex> {
    static constexpr auto index = NativeTypeIndex::mutex;
    static constexpr NativeId codec_id = NativeId::mutex;
};
template <>
struct TypeOf<Semaphore> {
    static constexpr auto index = NativeTypeIndex::semaphore;
    static constexpr NativeId codec_id = NativeId::semaphore;
    static constexpr const char* count_name = "permits";
    static constexpr const char* count_format = "n:Semaphore";
};

bool add_lock_types(PyObject* module, InterpreterState& state);

// Raises LockPoisoned. Returns nullptr.
PyObject* raise_poisoned(Mutex& mutex);
// The running actor holds the mutex; else false with RuntimeError set.
bool require_holder(Mutex& mutex, const Worker& worker, const char* action);

}  // namespace smarm::bind
