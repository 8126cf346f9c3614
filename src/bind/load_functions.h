// load_functions.h: whether the calling actor loads the script into its worker: see pylib/smarm/_main.py.
#pragma once

#include <Python.h>

namespace smarm::bind {

extern PyMethodDef load_functions[];

}  // namespace smarm::bind
