#include "cpython/finaliser_stack.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include <dlfcn.h>
#include <link.h>
#include <unwind.h>

#include "cpython/c_stack.h"
#include "cpython/py_compat.h"

namespace smarm {
namespace {

constexpr const char* kFunctions[] = {"PyObject_ClearWeakRefs", "PyObject_CallFinalizerFromDealloc"};
std::array<CodeRange, std::size(kFunctions)> ranges;  // written before any actor runs
// From 3.14 on the compiler may have put the second function into the deallocator of generators.
PyTypeObject* const kGenerators[] = {&PyGen_Type, &PyCoro_Type, &PyAsyncGen_Type};
bool trusted = false;  // the test has passed

bool find_range(const char* name, CodeRange& range) {
    void* function = dlsym(RTLD_DEFAULT, name);
    Dl_info info;
    void* found = nullptr;
    if (!function || !dladdr1(function, &info, &found, RTLD_DL_SYMENT) || !found) return false;
    range = {reinterpret_cast<std::uintptr_t>(function), static_cast<const ElfW(Sym)*>(found)->st_size};
    return range.bytes != 0;
}

bool runs_finalisers(std::uintptr_t address) noexcept {  // in the calling instruction
    if (std::ranges::any_of(ranges, [address](const CodeRange& range) { return range.contains(address); })) return true;
    const void* function = _Unwind_FindEnclosingFunction(reinterpret_cast<void*>(address));
    return std::ranges::any_of(kGenerators, [function](const PyTypeObject* type) {
        return function == reinterpret_cast<const void*>(type->tp_dealloc);
    });
}

bool stack_has_finaliser() noexcept { return any_caller(runs_finalisers); }

// How often each answer was given, in the test.
int answers[2];

PyObject* probe(PyObject*, PyObject*) {
    ++answers[stack_has_finaliser()];
    Py_RETURN_NONE;
}

PyMethodDef probe_definition = {"probe", probe, METH_VARARGS, nullptr};

constexpr char kTest[] = R"(
class Watched:
    def __del__(self):
        probe()
watched = Watched()
watcher = ref(watched, lambda _: probe())
del watched
def generate():
    try:
        yield
    finally:
        probe()
next(generate())
sorted([1], key=probe)
)";

}  // namespace

bool find_finalisers() {
    for (std::size_t i = 0; i < ranges.size(); ++i) {
        if (!find_range(kFunctions[i], ranges[i])) return true;
    }
    answers[0] = answers[1] = 0;
    PyObject* function = PyCFunction_New(&probe_definition, nullptr);
    PyObject* weakref = PyImport_ImportModuleLevel("_weakref", nullptr, nullptr, nullptr, 0);
    PyObject* reference = weakref ? PyObject_GetAttrString(weakref, "ref") : nullptr;
    PyObject* names = function && reference
                          ? Py_BuildValue("{sOsOss}", "probe", function, "ref", reference, "__name__", "smarm")
                          : nullptr;
    PyObject* done = names ? PyRun_String(kTest, Py_file_input, names, names) : nullptr;
    Py_XDECREF(names);
    Py_XDECREF(reference);
    Py_XDECREF(weakref);
    Py_XDECREF(function);
    if (!done) return false;
    Py_DECREF(done);
    trusted = answers[true] == 3 && answers[false] == 1;
    return true;
}

bool in_finaliser(PyThreadState* state) noexcept {
    return trusted ? stack_has_finaliser() : smarm_entry_depth(state) > 1;
}

}  // namespace smarm
