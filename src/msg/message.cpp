#include "smarm/msg/message.h"

namespace smarm {

Message::LocalRelease Message::local_release_ = nullptr;
Message::LocalBytes Message::local_bytes_ = nullptr;

std::size_t Message::bytes() const noexcept {
    if (is_parcel()) return parcel().bytes();
    SMARM_ASSERT(local_bytes_, "a local message is to be counted before anything said how");
    return local_bytes_(local_object());
}

void Message::destroy() noexcept {
    if (is_parcel()) {
        take_parcel();
        return;
    }
    SMARM_ASSERT(local_release_, "a local message died before anything said how to release it");
    local_release_(take_local());
}

}  // namespace smarm
