#include "smarm/msg/parcel.h"

#include <cstring>
#include <new>

#include "smarm/base/assert.h"
#include "smarm/msg/cargo.h"
#include "smarm/msg/parcel_memory.h"

namespace smarm {
namespace {

// What becomes of a parcel is decided by who posts it.
constexpr Post::Kind kNotAddressed{
    [](Post&, Worker&) noexcept { SMARM_ASSERT(false, "a parcel was posted without an address"); },
    [](Post&, Scheduler&) noexcept { SMARM_ASSERT(false, "a parcel was posted without an address"); }};

// Of a block from parcel_memory.h; a larger one is malloc's.
constexpr std::size_t kBlockCapacity = kParcelBlockBytes - sizeof(Parcel);

void free_block(void* block, std::size_t capacity) noexcept {
    if (capacity == kBlockCapacity) give_parcel_block(block);
    else std::free(block);
}

void give_back_all_of(const std::vector<Ref<Shared>>& attachments) noexcept {
    for (const Ref<Shared>& attachment : attachments) {
        if (auto* cargo = dynamic_cast<Cargo*>(attachment.get())) cargo->give_back();
    }
}

}  // namespace

Parcel::Parcel() noexcept : Post(kNotAddressed) {}

std::size_t Parcel::bytes() const noexcept {
    std::size_t bytes = sizeof(Parcel) + size_;
    for (const Ref<Shared>& attachment : attachments_) bytes += attachment->payload_bytes();
    return bytes;
}

void Parcel::give_back() const noexcept { give_back_all_of(attachments_); }

void Parcel::Destroy::operator()(Parcel* parcel) const noexcept {
    const std::size_t capacity = parcel->capacity_;
    parcel->~Parcel();
    free_block(parcel, capacity);
}

ParcelBuilder::~ParcelBuilder() {
    if (block_) free_block(block_, capacity_);
}

void ParcelBuilder::grow(std::size_t bytes) {
    std::size_t wanted = size_ + bytes;
    if (wanted < size_ || wanted > PTRDIFF_MAX / 2) throw std::bad_alloc();
    std::size_t capacity = capacity_ ? capacity_ * 2 : kBlockCapacity;
    if (capacity < wanted) capacity = wanted;
    // SAFETY: the block holds plain bytes until finish() constructs the header in it, so it may be moved.
    void* block = nullptr;
    if (capacity == kBlockCapacity) {
        block = take_parcel_block();
    } else if (capacity_ != kBlockCapacity) {
        block = std::realloc(block_, sizeof(Parcel) + capacity);
    } else if ((block = std::malloc(sizeof(Parcel) + capacity))) {
        std::memcpy(block, block_, sizeof(Parcel) + size_);
        give_parcel_block(block_);
    }
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
    parcel->capacity_ = capacity_;
    parcel->attachments_ = std::move(attachments_);
    block_ = nullptr;
    size_ = capacity_ = 0;
    return OwnedParcel(parcel);
}

}  // namespace smarm
