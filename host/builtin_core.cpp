#include "builtin_core.h"

#include "bind/module.h"

extern "C" [[gnu::visibility("default")]] PyObject* smarm_host_core_init() { return PyInit_smarm_core(); }

namespace smarm::host {

bool register_core() { return PyImport_AppendInittab("smarm._core", smarm_host_core_init) == 0; }

}  // namespace smarm::host
