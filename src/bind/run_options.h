// run_options.h: the options that pylib/smarm/_config.py has checked, as a RuntimeConfig.
#pragma once

#include <Python.h>

#include "smarm/runtime/config.h"

namespace smarm::bind {

// Reads the values of all options from a dict. False with TypeError set when one is missing, unknown, or of another
// type.
bool read_run_options(PyObject* options, RuntimeConfig& config);

// Returns their names: a tuple of str, or nullptr with an exception set.
PyObject* run_option_names();

// Infinity: Duration::max().
inline Duration from_seconds(double seconds) {
    if (seconds > 9e9) return Duration::max();
    return Duration(static_cast<Duration::rep>(seconds * 1e9));
}

}  // namespace smarm::bind
