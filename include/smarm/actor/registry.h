// registry.h: names of actors.
//
// What:    one pid per name, any number of names per pid. add fails when the name is taken by a living actor; names of
//          an ended actor are dropped by drop_all, which its worker calls.
// Threads: any (one mutex; look-ups are not on a hot path). Throws: bad_alloc from add.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "smarm/actor/pid.h"
#include "smarm/base/sync.h"

namespace smarm {

class Registry {
public:
    // Returns false when the name is taken.
    bool add(const std::string& name, Pid pid);
    // Returns the name's pid, or the null Pid.
    Pid find(const std::string& name) const;
    // Returns false when there is no such name.
    bool remove(const std::string& name);
    void drop_all(Pid pid) noexcept;
    std::vector<std::string> names_of(Pid pid) const;
    std::vector<std::string> names() const;

private:
    mutable mutex mutex_;
    std::unordered_map<std::string, Pid> names_;
};

}  // namespace smarm
