#include "smarm/stdlib/extension_modules.h"

#include "cpython/method_patch.h"
#include "smarm/interp/imports.h"
#include "smarm/interp/native_threads.h"

namespace smarm {
namespace {

PyObject* create_dynamic(const stdlib::Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                         PyObject* names) {
    PyObject* module = original.call(self, values, count, names);
    check_native_libraries();
    return module;
}

}  // namespace

bool install_stdlib_import() {
    PyObject* module = import_module("_imp");
    const bool installed = module && stdlib::Patch<create_dynamic>::install(module, nullptr, "create_dynamic");
    Py_XDECREF(module);
    return installed;
}

}  // namespace smarm
