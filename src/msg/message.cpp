#include "smarm/msg/message.h"

namespace smarm {

Message::LocalRelease Message::local_release_ = nullptr;

void Message::destroy() noexcept {
    if (is_parcel()) {
        take_parcel();
        return;
    }
    SMARM_ASSERT(local_release_, "a local message died before anything said how to release it");
    local_release_(take_local());
}

}  // namespace smarm
