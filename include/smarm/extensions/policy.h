// policy.h: whether workers load extension modules from private copies, and the exceptions to the rule.
//
// What:    of the run: the option `extensions` and its lists (docs/reference/configuration.md). What the lists add to
//          is the table in pylib/smarm/extensions/_policy.py.
// Threads: set_extension_policy with the main interpreter attached, before workers of the run are there; the rest any.
#pragma once

#include <string>
#include <vector>

namespace smarm {

struct ExtensionPolicy {
    bool private_copies = false;
    std::vector<std::string> shared_libraries;   // libraries that all copies share, by the beginnings of their names
    std::vector<std::string> private_libraries;  // libraries opened with ctypes of which a worker gets a copy, likewise
    std::vector<std::string> main_only;          // modules that stay with the main interpreter
};

// Throws bad_alloc.
void set_extension_policy(ExtensionPolicy policy);

bool extensions_are_private() noexcept;

// A copy of it. Throws bad_alloc.
ExtensionPolicy extension_policy();

}  // namespace smarm
