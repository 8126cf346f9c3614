// simulation_functions.h: what smarm.testing runs its simulations with.
#pragma once

#include <Python.h>

namespace smarm::bind {

extern PyMethodDef simulation_functions[];

}  // namespace smarm::bind
