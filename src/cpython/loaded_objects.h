// loaded_objects.h: the shared objects of this process, as the loader has them.
//
// Threads: any.
#pragma once

#include <string>
#include <vector>

namespace smarm {

// How many objects have ever been loaded: when it is the same, no new one is there. Costs 0.1 us.
unsigned long long count_loads() noexcept;

// The paths of all that are loaded.  Throws bad_alloc.
std::vector<std::string> loaded_objects();

}  // namespace smarm
