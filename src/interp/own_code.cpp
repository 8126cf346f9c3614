#include "smarm/interp/own_code.h"

#include <Python.h>

#include <cstdlib>
#include <cstring>

#include "smarm/base/sync.h"
#include "smarm/interp/imports.h"
#include "smarm/interp/requested_exception.h"

namespace smarm {
namespace {

// Immortal, ends in a slash. Release: pairs with is_own_file.
atomic<const char*> directory{nullptr};

bool shows_all() {
    const char* wish = std::getenv("SMARM_INTERNAL_FRAMES");
    return wish && *wish && std::strcmp(wish, "0") != 0;
}

}  // namespace

void remember_own_code() {
    if (shows_all()) return directory.store(nullptr, memory_order_release);
    PyObject* paths = import_attribute("smarm", "__path__");
    PyObject* path = paths ? PySequence_GetItem(paths, 0) : nullptr;
    const char* text = path && PyUnicode_Check(path) ? PyUnicode_AsUTF8(path) : nullptr;
    const char* known = directory.load(memory_order_relaxed);
    const std::size_t length = text ? std::strlen(text) : 0;
    if (text && !(known && std::strncmp(known, text, length) == 0 && std::strlen(known) == length + 1)) {
        if (auto* copy = static_cast<char*>(std::malloc(length + 2))) {
            std::memcpy(copy, text, length);
            std::memcpy(copy + length, "/", 2);
            directory.store(copy, memory_order_release);
        }
    }
    drop_exception();
    Py_XDECREF(path);
    Py_XDECREF(paths);
}

bool is_own_file(const char* file) noexcept {
    const char* known = directory.load(memory_order_acquire);
    if (!known) return false;
    return std::strncmp(file, known, std::strlen(known)) == 0 || std::strstr(file, "/site-packages/_pytest/") ||
           std::strstr(file, "/site-packages/pluggy/");
}

}  // namespace smarm
