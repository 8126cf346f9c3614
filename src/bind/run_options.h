// run_options.h: the options that pylib/smarm/_config.py has checked, as a RuntimeConfig.
#pragma once

#include <Python.h>

#include "smarm/runtime/config.h"

namespace smarm::bind {

// Reads the tuple of _config.OPTIONS' values, in their order. False with TypeError set.
bool read_run_options(PyObject* options, RuntimeConfig& config);

// Infinity: Duration::max().
inline Duration from_seconds(double seconds) {
    if (seconds > 9e9) return Duration::max();
    return Duration(static_cast<Duration::rep>(seconds * 1e9));
}

}  // namespace smarm::bind
