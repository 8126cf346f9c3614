#include "smarm/msg/message.h"

#include <memory>
#include <utility>

#include <doctest/doctest.h>

#include "../support/child.h"

using namespace smarm;
using smarm::testing::run_in_child;

namespace {

struct alignas(8) Object {
    int released = 0;
};
void release(void* object) { ++static_cast<Object*>(object)->released; }

struct Witness final : Shared {
    explicit Witness(bool& flag) noexcept : gone(flag) {}
    ~Witness() override { gone = true; }
    bool& gone;
};

OwnedParcel parcel_with_witness(bool& gone) {
    ParcelBuilder builder;
    builder.attach(make_shared_ref<Witness>(gone));
    return builder.finish();
}

}  // namespace

static_assert(sizeof(Message) == 8);

TEST_CASE("an empty message holds nothing and releases nothing") {
    Message::set_local_release(release);
    Message empty;
    CHECK(!empty);
    CHECK(!empty.is_parcel());
    Message moved(std::move(empty));
    CHECK(!moved);
}

TEST_CASE("a local object is released once, by the last message that holds it") {
    Message::set_local_release(release);
    Object object;
    {
        Message first = Message::local(&object);
        CHECK(first);
        CHECK(!first.is_parcel());
        CHECK(first.local_object() == &object);
        Message second(std::move(first));
        CHECK(!first);
        Message third;
        third = std::move(second);
        CHECK(!second);
        CHECK(third.local_object() == &object);
        CHECK(object.released == 0);
    }
    CHECK(object.released == 1);
}

TEST_CASE("a local object that was taken is not released") {
    Message::set_local_release(release);
    Object object;
    {
        Message message = Message::local(&object);
        CHECK(message.take_local() == &object);
        CHECK(!message);
    }
    CHECK(object.released == 0);
}

TEST_CASE("assigning releases what was held before, at once") {
    Message::set_local_release(release);
    Object object;
    Message message = Message::local(&object);
    message = Message();
    CHECK(object.released == 1);
    bool gone = false;
    message = Message(parcel_with_witness(gone));
    CHECK(message.is_parcel());
    message = Message();
    CHECK(gone);
}

TEST_CASE("a parcel is freed with its message, and only with it") {
    bool gone = false;
    OwnedParcel parcel = parcel_with_witness(gone);
    const Parcel* address = parcel.get();
    {
        Message message(std::move(parcel));
        CHECK(message.is_parcel());
        CHECK(&message.parcel() == address);
        parcel = message.take_parcel();
        CHECK(!message);
    }
    CHECK(!gone);
    CHECK(parcel.get() == address);
    { Message message(std::move(parcel)); }
    CHECK(gone);
}

TEST_CASE("a local message without anybody to release it is a bug that is reported") {
    const auto end = run_in_child([] {
        Message::set_local_release(nullptr);
        Object object;
        Message message = Message::local(&object);
    });
    CHECK(end.signal == SIGABRT);
    CHECK(end.said("before anything said how to release it"));
}
