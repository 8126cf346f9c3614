// blocking_call.h: smarm.block_on_io.
#pragma once

#include <Python.h>

namespace smarm::bind {

extern PyMethodDef blocking_functions[];

}  // namespace smarm::bind
