#include "smarm/interp/spawn_site.h"

#include <Python.h>

#include <map>
#include <mutex>
#include <tuple>
#include <unordered_map>

#include "cpython/py_compat.h"
#include "interp/callers.h"
#include "smarm/interp/own_code.h"
#include "smarm/interp/requested_exception.h"

namespace smarm {
namespace {

struct Instruction {
    PyCodeObject* code;
    int offset;
    bool operator==(const Instruction&) const = default;
};
struct InstructionHash {
    std::size_t operator()(const Instruction& of) const noexcept {
        return reinterpret_cast<std::size_t>(of.code) / 16 * 31 + static_cast<std::size_t>(of.offset);
    }
};

// nullptr: smarm's own, so that a caller is the place. Holds a strong reference to each code object, so that an
// address is not another function's later.
thread_local std::unordered_map<Instruction, const SpawnSite*, InstructionHash> known;
constexpr std::size_t kMostKnown = 4096;  // programs that make code at run time must not fill memory with it

const SpawnSite* intern(std::string file, int line, std::string function) {
    static std::mutex mutex;
    static std::map<std::tuple<std::string, int, std::string>, SpawnSite> sites;
    std::lock_guard guard(mutex);
    auto [found, fresh] = sites.try_emplace({file, line, function});
    if (fresh) found->second = {std::move(file), line, std::move(function)};
    return &found->second;
}

std::string text(PyObject* unicode) {
    const char* utf8 = PyUnicode_AsUTF8(unicode);
    if (!utf8) drop_exception();
    return utf8 ? utf8 : "?";
}

const SpawnSite* site_of(PyCodeObject* code, int line) {
    return intern(text(code->co_filename), line, text(code->co_qualname));
}

// The innermost frame that is not smarm's own; nullptr: there is none. Slower than asking for the innermost one.
const SpawnSite* find_users_site() {
    const SpawnSite* site = nullptr;
    for_each_caller(PyThreadState_GetFrame(PyThreadState_Get()), [&site](PyCodeObject* code, PyFrameObject* frame) {
        if (!is_own_file(text(code->co_filename).c_str())) site = site_of(code, PyFrame_GetLineNumber(frame));
        return !site;
    });
    return site;
}

}  // namespace

const SpawnSite* current_spawn_site(const SpawnSite* of_spawner) noexcept {
    PyCodeObject* code = nullptr;
    int instruction = 0;
    if (!smarm_current_code(PyThreadState_Get(), &code, &instruction)) return nullptr;
    try {
        if (auto found = known.find({code, instruction}); found != known.end()) {
            Py_DECREF(code);
            if (found->second) return found->second;
            const SpawnSite* users = find_users_site();
            return users ? users : of_spawner;
        }
        if (known.size() >= kMostKnown) forget_spawn_sites();
        const SpawnSite* site = site_of(code, PyCode_Addr2Line(code, instruction));
        if (is_own_file(site->file.c_str())) site = nullptr;
        known.emplace(Instruction{code, instruction}, site);
        if (site) return site;
        const SpawnSite* users = find_users_site();
        return users ? users : of_spawner;
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}

void forget_spawn_sites() noexcept {
    auto dropped = std::move(known);
    known.clear();
    for (auto& [instruction, site] : dropped) Py_DECREF(instruction.code);
}

}  // namespace smarm
