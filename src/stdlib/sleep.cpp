#include "smarm/stdlib/sleep.h"

#include <cmath>

#include "cpython/method_patch.h"
#include "smarm/interp/imports.h"
#include "smarm/interp/point.h"
#include "smarm/interp/requested_exception.h"
#include "stdlib/locks_wait.h"

namespace smarm {
namespace {

constexpr double kLongest = 9e9;  // seconds; more is out of range, which is for the original to say

// Reads what the original would accept. False: it is for the original to judge.
bool read_seconds(PyObject* object, double& seconds) {
    if (PyFloat_Check(object)) seconds = PyFloat_AS_DOUBLE(object);
    else if (PyIndex_Check(object)) {
        PyObject* index = PyNumber_Index(object);
        seconds = index ? PyLong_AsDouble(index) : -1.0;
        Py_XDECREF(index);
    } else {
        return false;
    }
    if (PyErr_Occurred()) {
        drop_exception();
        return false;
    }
    return seconds >= 0 && seconds < kLongest;  // and no NaN
}

PyObject* sleep(const stdlib::Original& original, PyObject* self, PyObject* const* values, Py_ssize_t count,
                PyObject* names) {
    double seconds = 0;
    if (count != 1 || !calling_actor() || !read_seconds(values[0], seconds))
        return original.call(self, values, count, names);
    if (!pass_point(*this_actor())) return nullptr;
    if (PySys_Audit("time.sleep", "O", values[0]) < 0) return nullptr;
    Worker& worker = *this_worker();
    const Instant deadline =
        deadline_after(worker.driver().now(), Duration(static_cast<Duration::rep>(std::ceil(seconds * 1e9))));
    for (;;) {
        const Parked parked = worker.park(WaitReason::sleep, deadline);
        if (parked.requested) return raise_exit();
        if (parked.timed_out) Py_RETURN_NONE;
    }
}

}  // namespace

bool install_stdlib_sleep() {
    PyObject* module = import_module("time");
    const bool installed = module && stdlib::Patch<sleep>::install(module, nullptr, "sleep");
    Py_XDECREF(module);
    return installed;
}

}  // namespace smarm
