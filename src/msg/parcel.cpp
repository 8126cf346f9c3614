#include "smarm/msg/parcel.h"

#include <new>

#include "smarm/base/assert.h"
#include "smarm/msg/cargo.h"

namespace smarm {
namespace {

// A parcel's way from the inbox is decided by who posts it; it must be set before the post.
void not_addressed(Post&) noexcept { SMARM_ASSERT(false, "a parcel was posted without saying how to deliver it"); }

constexpr std::size_t kFirstCapacity = 112;

void give_back_all_of(const std::vector<Ref<Shared>>& attachments) noexcept {
    for (const Ref<Shared>& attachment : attachments) {
        if (auto* cargo = dynamic_cast<Cargo*>(attachment.get())) cargo->give_back();
    }
}

}  // namespace

Parcel::Parcel() noexcept : Post(not_addressed) {}

std::size_t Parcel::bytes() const noexcept {
    std::size_t bytes = sizeof(Parcel) + size_;
    for (const Ref<Shared>& attachment : attachments_) bytes += attachment->payload_bytes();
    return bytes;
}

void Parcel::give_back() const noexcept { give_back_all_of(attachments_); }

void Parcel::Destroy::operator()(Parcel* parcel) const noexcept {
    parcel->~Parcel();
    std::free(parcel);
}

ParcelBuilder::~ParcelBuilder() { std::free(block_); }

void ParcelBuilder::grow(std::size_t bytes) {
    std::size_t wanted = size_ + bytes;
    if (wanted < size_ || wanted > PTRDIFF_MAX / 2) throw std::bad_alloc();
    std::size_t capacity = capacity_ ? capacity_ * 2 : kFirstCapacity;
    if (capacity < wanted) capacity = wanted;
    // SAFETY: the block holds plain bytes until finish() constructs the header in it, so realloc may move it.
    void* block = std::realloc(block_, sizeof(Parcel) + capacity);
    if (!block) throw std::bad_alloc();
    block_ = static_cast<std::byte*>(block);
    capacity_ = capacity;
}

std::uint32_t ParcelBuilder::attach(Ref<Shared> object) {
    attachments_.push_back(std::move(object));
    return static_cast<std::uint32_t>(attachments_.size() - 1);
}

void ParcelBuilder::give_back() const noexcept { give_back_all_of(attachments_); }

OwnedParcel ParcelBuilder::finish() {
    if (!block_) grow(0);
    // SAFETY: malloc aligns for any type; the header's room at the start of the block was never written.
    Parcel* parcel = new (block_) Parcel;
    parcel->size_ = size_;
    parcel->attachments_ = std::move(attachments_);
    block_ = nullptr;
    size_ = capacity_ = 0;
    return OwnedParcel(parcel);
}

}  // namespace smarm
