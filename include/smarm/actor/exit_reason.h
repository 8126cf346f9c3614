// exit_reason.h: why an actor ended, or is to end.
//
// What:    an immutable, shared value: a kind, and for `value` and `failed` a parcel that any interpreter can decode.
//            normal    returned                            shutdown  asked to by its supervisor or the runtime
//            killed    by kill(), which cannot be trapped  noproc    there was no such actor
//            value     exit(pid, value), any sendable      failed    an exception left it (the parcel describes it)
// Owner:   Ref-counted; links and monitors of one actor share one. Threads: any. Errors: none, an actor must be able to
//          end without memory.
#pragma once

#include <string>

#include "smarm/base/shared.h"
#include "smarm/msg/parcel.h"

namespace smarm {

enum class ExitKind : std::uint8_t { normal, shutdown, killed, noproc, value, failed };

class ExitReason final : public Shared {
public:
    // The one of this kind that has no parcel.
    static Ref<ExitReason> plain(ExitKind kind) noexcept;
    // One with a parcel; without memory `failed` without. `report`: of `failed`, what people are to be told when nobody
    // joins the actor.
    static Ref<ExitReason> with(ExitKind kind, OwnedParcel parcel, std::string report = {}) noexcept;

    ExitKind kind() const noexcept { return kind_; }
    // Of `value` and `failed`; nullptr otherwise, and when a failure could not be described.
    const Parcel* parcel() const noexcept { return parcel_.get(); }
    // Of `failed`; may be empty.
    const std::string& report() const noexcept { return report_; }

private:
    explicit ExitReason(ExitKind kind, OwnedParcel parcel = nullptr, std::string report = {}) noexcept
        : kind_(kind), parcel_(std::move(parcel)), report_(std::move(report)) {}
    ExitKind kind_;
    OwnedParcel parcel_;
    std::string report_;
};

}  // namespace smarm
