#include "smarm/interp/code_owner.h"

#include <algorithm>
#include <array>
#include <string>

#include "smarm/interp/imports.h"
#include "smarm/interp/requested_exception.h"

namespace smarm {
namespace {

// A name that ends with a slash is a package, others are files.
constexpr std::array<std::string_view, 9> kBookkeepers = {
    "asyncio/",      "concurrent/futures/", "logging/",
    "contextlib.py",  // ExitStack: what was entered and is not yet on the stack
    "queue.py",      "selectors.py",        "threading.py", "weakref.py", "_weakrefset.py",
};
constexpr std::string_view kImportSystem = "<frozen importlib._bootstrap";  // and _bootstrap_external
constexpr std::array<std::string_view, 2> kForeignFolders = {"site-packages/", "dist-packages/"};
constexpr std::array<std::string_view, 2> kForeignBookkeepers = {"/trio/_core/", "/anyio/_backends/"};

// With a slash at the end; written by find_code_owners, before any actor runs.
std::string library_directory;
std::string own_directory;

// A method that collections.namedtuple or dataclasses made of text: whose it is its caller says.
bool is_generated(std::string_view file, std::string_view name) noexcept {
    return file == "<string>" && (name == "<lambda>" || name.starts_with("__"));
}

// The folder that the module is in. False with an exception set.
bool find_folder(const char* module_name, std::string& folder) {
    PyObject* file = import_attribute(module_name, "__file__");
    if (file && PyUnicode_Check(file)) {
        folder = text_of(file);
        folder.resize(folder.rfind('/') + 1);
    } else if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
        drop_exception();  // not in files: its frozen modules are known by name
    }
    Py_XDECREF(file);
    return !PyErr_Occurred();
}

}  // namespace

bool find_code_owners() { return find_folder("os", library_directory) && find_folder("smarm", own_directory); }

std::string_view text_of(PyObject* string) noexcept {
    Py_ssize_t size = 0;
    const char* text = PyUnicode_AsUTF8AndSize(string, &size);
    if (!text) return drop_exception(), std::string_view();
    return {text, static_cast<std::size_t>(size)};
}

CodeOwner owner_of(const PyCodeObject* code) noexcept {
    std::string_view file = text_of(code->co_filename);
    if (file.starts_with(kImportSystem)) return CodeOwner::imports;
    if (file.starts_with("<frozen ") || is_generated(file, text_of(code->co_name))) return CodeOwner::library;
    if (!own_directory.empty() && file.starts_with(own_directory)) return CodeOwner::bookkeeper;
    const auto is_below = [file](std::string_view folder) { return file.find(folder) != file.npos; };
    if (std::ranges::any_of(kForeignBookkeepers, is_below)) return CodeOwner::bookkeeper;
    if (library_directory.empty() || !file.starts_with(library_directory)) return CodeOwner::program;
    file.remove_prefix(library_directory.size());
    const auto is_in = [file](std::string_view name) { return file.starts_with(name); };
    if (std::ranges::any_of(kForeignFolders, is_in)) return CodeOwner::program;
    return std::ranges::any_of(kBookkeepers, is_in) ? CodeOwner::bookkeeper : CodeOwner::library;
}

}  // namespace smarm
