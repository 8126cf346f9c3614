#include "cpython/loaded_objects.h"

#include <new>
#include <utility>

#include <link.h>

namespace smarm {

unsigned long long count_loads() noexcept {
    unsigned long long count = 0;
    dl_iterate_phdr(
        [](dl_phdr_info* object, std::size_t, void* argument) {
            *static_cast<unsigned long long*>(argument) = object->dlpi_adds;
            return 1;
        },
        &count);
    return count;
}

std::vector<std::string> loaded_objects() {
    struct Found {
        std::vector<std::string> paths;
        bool out_of_memory = false;
    } found;
    // SAFETY: the loader's frames cannot be unwound, so nothing may be thrown through them.
    dl_iterate_phdr(
        [](dl_phdr_info* object, std::size_t, void* argument) {
            auto& all = *static_cast<Found*>(argument);
            try {
                if (object->dlpi_name && *object->dlpi_name) all.paths.emplace_back(object->dlpi_name);
            } catch (const std::bad_alloc&) {
                all.out_of_memory = true;
            }
            return static_cast<int>(all.out_of_memory);
        },
        &found);
    if (found.out_of_memory) throw std::bad_alloc();
    return std::move(found.paths);
}

}  // namespace smarm
