#include "smarm/interp/native_threads.h"

#include <array>
#include <cstdlib>
#include <initializer_list>
#include <mutex>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include <dlfcn.h>

#include "cpython/loaded_objects.h"
#include "smarm/base/sync.h"

namespace smarm {
namespace {

// A kind of library: how its files are called, its functions, and the variables that it reads itself.
struct Family {
    std::initializer_list<std::string_view> files;  // beginnings of names
    const char* set;
    const char* get;
    std::initializer_list<const char*> variables;
    bool for_each_thread;
};

const std::array kFamilies{
    Family{{"libopenblas", "libscipy_openblas", "libblas", "libcblas"},
           "openblas_set_num_threads",
           "openblas_get_num_threads",
           {"OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OPENBLAS_DEFAULT_NUM_THREADS", "OMP_NUM_THREADS"},
           false},
    Family{{"libmkl_rt"},
           "MKL_Set_Num_Threads",
           "MKL_Get_Max_Threads",
           {"MKL_NUM_THREADS", "MKL_DOMAIN_NUM_THREADS", "OMP_NUM_THREADS"},
           false},
    Family{{"libgomp", "libomp", "libiomp"}, "omp_set_num_threads", "omp_get_max_threads", {"OMP_NUM_THREADS"}, true},
};

// A library that has been told.
struct Library {
    void* handle;  // keeps it loaded
    void (*set)(int);
    int (*get)();
    bool for_each_thread;
    int threads_before;  // of the process; kept for each thread otherwise
};

std::mutex state_mutex;  // of what follows
// Never destroyed: workers that are left behind may still import when the process ends.
auto& libraries = *new std::vector<Library>;
bool limited = false;
// Relaxed: they only save the way to the mutex, and a search too many does no harm.
atomic<bool> is_limited{false};
atomic<unsigned long long> loads_seen{
    0};  // how many objects had been loaded into the process when it was last searched

// How many of `libraries` the calling thread has met, of which limit.
thread_local std::size_t met = 0;
thread_local std::size_t met_limit = 0;
thread_local std::vector<int> threads_before;
std::size_t limit_number = 0;

const Family* family_of(std::string_view path) {
    const std::string_view name = path.substr(path.rfind('/') + 1);
    for (const Family& family : kFamilies)
        for (std::string_view beginning : family.files)
            if (name.starts_with(beginning)) return &family;
    return nullptr;
}

bool chosen_by_user(const Family& family) {
    for (const char* variable : family.variables) {
        const char* value = std::getenv(variable);
        if (value && *value) return true;
    }
    return false;
}

// Builds of OpenBLAS have names of their own, so that several can be in one process: scipy_openblas_set_num_threads64_.
void* find_function(void* handle, const char* name) {
    for (const char* prefix : {"", "scipy_"}) {
        for (const char* suffix : {"", "64_", "_64"}) {
            if (void* found = dlsym(handle, (std::string(prefix) + name + suffix).c_str())) return found;
        }
    }
    return nullptr;
}

bool is_known(void (*set)(int)) {
    for (const Library& library : libraries)
        if (library.set == set) return true;
    return false;
}

void add_library(const std::string& path) {
    const Family& family = *family_of(path);
    void* handle = dlopen(path.c_str(), RTLD_LAZY | RTLD_NOLOAD);
    if (!handle) return;
    // SAFETY: these are the signatures that the libraries document.
    auto* set = reinterpret_cast<void (*)(int)>(find_function(handle, family.set));
    auto* get = reinterpret_cast<int (*)()>(find_function(handle, family.get));
    if (!set || !get || is_known(set) || chosen_by_user(family)) {
        dlclose(handle);
        return;
    }
    libraries.push_back({handle, set, get, family.for_each_thread, 0});
    if (family.for_each_thread) return;
    libraries.back().threads_before = get();
    set(1);
}

void search_libraries() {
    for (const std::string& path : loaded_objects())
        if (family_of(path)) add_library(path);
}

// Tells the libraries that count for each thread.
void tell_this_thread() {
    if (met_limit != limit_number) {
        met_limit = limit_number;
        met = 0;
        threads_before.clear();
    }
    for (; met < libraries.size(); ++met) {
        const Library& library = libraries[met];
        threads_before.push_back(library.for_each_thread ? library.get() : 0);
        if (library.for_each_thread) library.set(1);
    }
}

void check() {
    const unsigned long long loads = count_loads();
    if (loads_seen.load(memory_order_relaxed) != loads) {
        search_libraries();
        loads_seen.store(loads, memory_order_relaxed);
    }
    tell_this_thread();
}

void give_back() noexcept {
    for (std::size_t i = 0; i < libraries.size(); ++i) {
        const Library& library = libraries[i];
        int before = library.threads_before;
        if (library.for_each_thread) before = met_limit == limit_number && i < met ? threads_before[i] : 0;
        if (before > 0 && library.get() == 1) library.set(before);
        dlclose(library.handle);
    }
    libraries.clear();
    loads_seen.store(0, memory_order_relaxed);
}

}  // namespace

void limit_native_threads(bool limit) noexcept {
    std::lock_guard guard(state_mutex);
    if (limit == limited) return;
    limited = limit;
    is_limited.store(limit, memory_order_relaxed);
    if (!limit) return give_back();
    ++limit_number;
    try {
        check();
    } catch (const std::bad_alloc&) {}
}

void check_native_libraries() noexcept {
    if (!is_limited.load(memory_order_relaxed)) return;
    std::lock_guard guard(state_mutex);
    if (!limited) return;
    try {
        check();
    } catch (const std::bad_alloc&) {}
}

}  // namespace smarm
