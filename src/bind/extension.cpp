// The entry point of the extension module. Inside smarm-host it hands out the core that is linked into the launcher, so
// that one process never has two runtimes, however this file got loaded: see host/builtin_core.h.
#include <dlfcn.h>

#include "bind/module.h"

PyMODINIT_FUNC PyInit__core() {
    using Init = PyObject* (*)();
    if (void* host = dlsym(RTLD_DEFAULT, "smarm_host_core_init")) return reinterpret_cast<Init>(host)();
    return PyInit_smarm_core();
}
