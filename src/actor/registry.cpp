#include "smarm/actor/registry.h"

namespace smarm {

bool Registry::add(const std::string& name, Pid pid) {
    std::lock_guard guard(mutex_);
    return names_.try_emplace(name, pid).second;
}

Pid Registry::find(const std::string& name) const {
    std::lock_guard guard(mutex_);
    auto found = names_.find(name);
    return found == names_.end() ? Pid{} : found->second;
}

bool Registry::remove(const std::string& name) {
    std::lock_guard guard(mutex_);
    return names_.erase(name) != 0;
}

void Registry::drop_all(Pid pid) noexcept {
    std::lock_guard guard(mutex_);
    std::erase_if(names_, [pid](const auto& entry) { return entry.second == pid; });
}

std::vector<std::string> Registry::names_of(Pid pid) const {
    std::lock_guard guard(mutex_);
    std::vector<std::string> found;
    for (const auto& [name, owner] : names_)
        if (owner == pid) found.push_back(name);
    return found;
}

std::vector<std::string> Registry::names() const {
    std::lock_guard guard(mutex_);
    std::vector<std::string> all;
    for (const auto& [name, owner] : names_) all.push_back(name);
    return all;
}

}  // namespace smarm
