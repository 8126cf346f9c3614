#include "smarm/actor/requests.h"

#include <doctest/doctest.h>

using namespace smarm;
using namespace std::chrono_literals;

namespace {
constexpr Instant kNow{1h};
Ref<ExitReason> reason(ExitKind kind) { return ExitReason::plain(kind); }
}  // namespace

TEST_CASE("nothing is requested of a fresh actor") {
    const Requests requests;
    CHECK_FALSE(requests.any());
    CHECK_FALSE(requests.pending());
    CHECK(requests.first() == Request::none);
    CHECK(requests.due() == kNever);
}

TEST_CASE("an exit is delivered once, a kill again and again") {
    Requests requests;
    requests.note_exit(reason(ExitKind::shutdown), kNow);
    CHECK(requests.take(kNever) == Request::exit);
    CHECK_FALSE(requests.pending());
    requests.note_kill(reason(ExitKind::killed), kNow);
    CHECK_FALSE(requests.unwinds_by_kill());
    CHECK(requests.take(kNow + 5s) == Request::kill);
    CHECK(requests.unwinds_by_kill());
    CHECK(requests.take(kNow + 5s) == Request::kill);
    CHECK(requests.due() == kNow + 5s);
}

TEST_CASE("a kill ends what was asked more gently, and keeps its cause") {
    Requests requests;
    requests.note_exit(reason(ExitKind::shutdown), kNow);
    requests.note_kill(reason(ExitKind::killed), kNow);
    requests.note_exit(reason(ExitKind::shutdown), kNow);
    CHECK(requests.cause()->kind() == ExitKind::killed);
    CHECK(requests.take(kNever) == Request::kill);
    CHECK(requests.first() == Request::kill);
}

TEST_CASE("of several requests a signal goes first, a scope last") {
    Requests requests;
    requests.note_scope(kNow);
    requests.note_exit(nullptr, kNow);
    requests.note_signal(kNow);
    CHECK(requests.take(kNever) == Request::signal);
    CHECK(requests.take(kNever) == Request::exit);
    CHECK(requests.first() == Request::scope);
    requests.withdraw_scope();
    CHECK_FALSE(requests.any());
}

TEST_CASE("the earliest of what is pending says when an actor that computes is interrupted") {
    Requests requests;
    requests.note_exit(nullptr, kNever);
    CHECK_FALSE(requests.is_due(kNow + 100h));  // only at a point
    requests.note_scope(kNow + 2s);
    CHECK_FALSE(requests.is_due(kNow + 1s));
    CHECK(requests.is_due(kNow + 2s));
    requests.note_exit(nullptr, kNow + 1s);
    CHECK(requests.is_due(kNow + 1s));
    requests.take(kNever);
    CHECK_FALSE(requests.is_due(kNow + 1s));
}

TEST_CASE("a patience does not outlive its request") {
    Requests requests;
    requests.note_exit(nullptr, kNow);
    requests.take(kNever);
    requests.note_exit(nullptr, kNever);
    CHECK(requests.due() == kNever);
}

TEST_CASE("an exit without a cause keeps the last one's") {
    Requests requests;
    requests.note_exit(reason(ExitKind::shutdown), kNow);
    requests.note_exit(nullptr, kNow);
    CHECK(requests.cause()->kind() == ExitKind::shutdown);
}

TEST_CASE("behind a shield everything waits") {
    Requests requests;
    CHECK(requests.raise_shield());
    CHECK(requests.raise_shield());
    requests.note_kill(reason(ExitKind::killed), kNow);
    CHECK(requests.pending());
    CHECK_FALSE(requests.deliverable());
    CHECK_FALSE(requests.is_due(kNow));
    requests.lower_shield();
    CHECK_FALSE(requests.deliverable());
    requests.lower_shield();
    CHECK(requests.deliverable());
    for (int i = 0; i < Requests::kDeepestShield; ++i) REQUIRE(requests.raise_shield());
    CHECK_FALSE(requests.raise_shield());
}

TEST_CASE("what is asked again without patience goes through a patient shield") {
    Requests requests;
    requests.note_exit(reason(ExitKind::shutdown), kNow);
    CHECK(requests.take(kNever) == Request::exit);
    requests.raise_patient_shield();
    requests.note_kill(reason(ExitKind::killed), kNow);
    CHECK_FALSE(requests.deliverable());
    requests.hurry();
    CHECK(requests.deliverable());
    CHECK(requests.raise_shield());
    CHECK_FALSE(requests.deliverable());
    requests.lower_shield();
    requests.lower_patient_shield();
    SUBCASE("a kill stays urgent") {
        CHECK(requests.take(kNever) == Request::kill);
        CHECK(requests.urgent());
    }
    SUBCASE("the next exit has time again") {
        requests.take_before_start();
        requests.note_exit(nullptr, kNow);
        CHECK(requests.take(kNever) == Request::exit);
        CHECK_FALSE(requests.urgent());
    }
}

TEST_CASE("a kill that comes first leaves time to clean up, however urgent it was") {
    Requests requests;
    requests.note_kill(reason(ExitKind::killed), kNow);
    requests.hurry();
    CHECK(requests.take(kNever) == Request::kill);
    CHECK_FALSE(requests.urgent());
}

TEST_CASE("a load of the script is to be looked at, and is no request") {
    Requests requests;
    requests.begin_load();
    CHECK(requests.any());
    CHECK(requests.loads_script());
    CHECK_FALSE(requests.pending());
    requests.end_load();
    CHECK_FALSE(requests.any());
}

TEST_CASE("whoever passes requests on sees each new one") {
    Requests requests;
    const auto before = requests.noted();
    requests.note_exit(nullptr, kNow);
    requests.note_exit(nullptr, kNow);
    CHECK(requests.noted() == before + 2);
}
