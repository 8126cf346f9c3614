#include "smarm/actor/exit_reason.h"

#include <new>

namespace smarm {

Ref<ExitReason> ExitReason::plain(ExitKind kind) noexcept {
    // Made when the library is loaded, and never freed: actors that were given up may outlive everything.
    static ExitReason* const reasons[] = {
        new ExitReason(ExitKind::normal), new ExitReason(ExitKind::shutdown), new ExitReason(ExitKind::killed),
        new ExitReason(ExitKind::noproc), new ExitReason(ExitKind::value),    new ExitReason(ExitKind::failed),
    };
    return Ref<ExitReason>::share(reasons[static_cast<int>(kind)]);
}

namespace {
const Ref<ExitReason> made_early = ExitReason::plain(ExitKind::normal);
}

Ref<ExitReason> ExitReason::with(ExitKind kind, OwnedParcel parcel, std::string report) noexcept {
    auto* reason = new (std::nothrow) ExitReason(kind, std::move(parcel), std::move(report));
    return reason ? Ref<ExitReason>::adopt(reason) : plain(ExitKind::failed);
}

}  // namespace smarm
