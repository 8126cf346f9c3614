#include "smarm/msg/buffer.h"

#include <utility>

namespace smarm {

Buffer BufferHolder::take() noexcept {
    if (account_) {
        account_->buffers.fetch_sub(1, memory_order_relaxed);
        account_->bytes.fetch_sub(buffer_.size(), memory_order_relaxed);
    }
    return std::exchange(buffer_, Buffer());
}

void BufferHolder::put_back(Buffer buffer) noexcept {
    buffer_ = std::move(buffer);
    if (!account_) return;
    account_->buffers.fetch_add(1, memory_order_relaxed);
    account_->bytes.fetch_add(buffer_.size(), memory_order_relaxed);
}

Buffer BufferCargo::take() noexcept {
    if (buffer_) count_buffer_move();
    return std::exchange(buffer_, Buffer());
}

void BufferCargo::give_back() noexcept {
    if (!buffer_ || !from_) return;
    // Only a buffer that nobody else could reach was moved, and its object did not get another one meanwhile.
    from_->put_back(std::exchange(buffer_, Buffer()));
}

}  // namespace smarm
