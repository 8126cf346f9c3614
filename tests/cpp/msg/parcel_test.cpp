#include "smarm/msg/parcel.h"

#include <cstring>
#include <new>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "../support/child.h"

using namespace smarm;
using smarm::testing::run_in_child;

namespace {

// A native object that says when it died.
struct Attachment final : Shared {
    explicit Attachment(int& count) noexcept : alive(count) { ++alive; }
    ~Attachment() override { --alive; }
    int& alive;
};

void write(ParcelBuilder& builder, const std::string& text) {
    if (!text.empty()) std::memcpy(builder.append(text.size()), text.data(), text.size());
}
std::string text_of(const Parcel& parcel) { return {reinterpret_cast<const char*>(parcel.data()), parcel.size()}; }

}  // namespace

TEST_CASE("a parcel holds the bytes that were appended, in order") {
    ParcelBuilder builder;
    write(builder, "one ");
    write(builder, "");
    write(builder, "two");
    CHECK(builder.size() == 7);
    CHECK(text_of(*builder.finish()) == "one two");
}

TEST_CASE("a parcel without bytes is a parcel") {
    ParcelBuilder builder;
    OwnedParcel parcel = builder.finish();
    REQUIRE(parcel);
    CHECK(parcel->size() == 0);
    CHECK(parcel->attachments().empty());
}

TEST_CASE("growing keeps what was written") {
    std::mt19937 random(1);
    for (int round = 0; round < 200; ++round) {
        ParcelBuilder builder;
        std::string expected;
        const auto pieces = random() % 40;
        for (unsigned i = 0; i < pieces; ++i) {
            const std::string piece(random() % 300, static_cast<char>('a' + random() % 26));
            write(builder, piece);
            expected += piece;
        }
        REQUIRE(builder.size() == expected.size());
        REQUIRE(text_of(*builder.finish()) == expected);
    }
}

TEST_CASE("a finished builder is empty and makes the next parcel") {
    ParcelBuilder builder;
    int alive = 0;
    write(builder, "first");
    builder.attach(make_shared_ref<Attachment>(alive));
    OwnedParcel first = builder.finish();
    CHECK(builder.size() == 0);
    write(builder, "second");
    OwnedParcel second = builder.finish();
    CHECK(text_of(*first) == "first");
    CHECK(text_of(*second) == "second");
    CHECK(first->attachments().size() == 1);
    CHECK(second->attachments().empty());
}

TEST_CASE("attachments are found by position and die with the parcel") {
    int alive = 0;
    OwnedParcel parcel;
    {
        ParcelBuilder builder;
        CHECK(builder.attach(make_shared_ref<Attachment>(alive)) == 0);
        CHECK(builder.attach(make_shared_ref<Attachment>(alive)) == 1);
        parcel = builder.finish();
    }
    CHECK(alive == 2);
    CHECK(dynamic_cast<Attachment*>(parcel->attachments()[1].get()));
    SUBCASE("on the thread that made them") { parcel = nullptr; }
    SUBCASE("on another thread") {
        std::thread([dropped = std::move(parcel)]() mutable { dropped = nullptr; }).join();
    }
    CHECK(alive == 0);
}

TEST_CASE("attachments of a parcel that was never finished die with the builder") {
    int alive = 0;
    {
        ParcelBuilder builder;
        write(builder, "unfinished");
        builder.attach(make_shared_ref<Attachment>(alive));
    }
    CHECK(alive == 0);
}

TEST_CASE("an attachment that others hold outlives the parcel") {
    int alive = 0;
    auto held = make_shared_ref<Attachment>(alive);
    ParcelBuilder builder;
    builder.attach(Ref<Shared>::share(held.get()));
    builder.finish() = nullptr;
    CHECK(alive == 1);
}

TEST_CASE("a size that no memory can hold is refused, and the builder stays as it was") {
    ParcelBuilder builder;
    write(builder, "kept");
    CHECK_THROWS_AS(builder.append(SIZE_MAX), std::bad_alloc);
    CHECK_THROWS_AS(builder.append(SIZE_MAX / 2), std::bad_alloc);
    write(builder, "!");
    CHECK(text_of(*builder.finish()) == "kept!");
}

TEST_CASE("a parcel that was posted without an address is a bug that is reported") {
    const auto end = run_in_child([] {
        ParcelBuilder builder;
        OwnedParcel parcel = builder.finish();
        char nowhere = 0;
        parcel->nobody(reinterpret_cast<Scheduler&>(nowhere));
    });
    CHECK(end.signal == SIGABRT);
    CHECK(end.said("without an address"));
}
