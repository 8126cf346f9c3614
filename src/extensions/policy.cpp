#include "smarm/extensions/policy.h"

#include <mutex>
#include <utility>

#include "smarm/base/sync.h"

namespace smarm {
namespace {

std::mutex policy_lock;
auto& policy_of_run = *new ExtensionPolicy;
// Relaxed: a worker has been started after it was set.
atomic<bool> is_private{false};

}  // namespace

void set_extension_policy(ExtensionPolicy policy) {
    std::lock_guard guard(policy_lock);
    is_private.store(policy.private_copies, memory_order_relaxed);
    policy_of_run = std::move(policy);
}

bool extensions_are_private() noexcept { return is_private.load(memory_order_relaxed); }

ExtensionPolicy extension_policy() {
    std::lock_guard guard(policy_lock);
    return policy_of_run;
}

}  // namespace smarm
