// Waits that end otherwise than by readiness: removed, closed, of a number that has another file now, or changed while
// others fire.
#include "smarm/wait/reactor.h"

#include <memory>

#include <doctest/doctest.h>
#include <unistd.h>

#include "../support/reactor_fixture.h"

using namespace smarm;
using namespace smarm::testing;
using std::chrono::milliseconds;

TEST_CASE_FIXTURE(ReactorFixture, "a removed wait does not fire, and can be added again") {
    Pair pair;
    Wait wait, other;
    REQUIRE(reactor->add(wait, pair.ours, Interest::read) == 0);
    reactor->remove(wait);
    reactor->remove(wait);
    pair.say();
    REQUIRE(reactor->add(other, pair.ours, Interest::write) == 0);
    CHECK(reactor->poll());
    CHECK(wait.fires() == 0);
    REQUIRE(reactor->add(wait, pair.ours, Interest::read) == 0);
    CHECK(reactor->poll());
    CHECK(wait.readies == 1);
}

TEST_CASE_FIXTURE(ReactorFixture, "forget fires every wait of the fd as closed, and no other") {
    Pair pair, other;
    Wait reader, second, writer, unrelated;
    pair.fill();
    REQUIRE(reactor->add(reader, pair.ours, Interest::read) == 0);
    REQUIRE(reactor->add(second, pair.ours, Interest::read) == 0);
    REQUIRE(reactor->add(writer, pair.ours, Interest::write) == 0);
    REQUIRE(reactor->add(unrelated, other.ours, Interest::read) == 0);
    reactor->forget(pair.ours);
    for (Wait* wait : {&reader, &second, &writer}) {
        CHECK(wait->closes == 1);
        CHECK(wait->readies == 0);
    }
    CHECK(unrelated.fires() == 0);
    reactor->forget(pair.ours);
    reactor->forget(-1);
    reactor->forget(12345);
    reactor->remove(unrelated);
}

TEST_CASE_FIXTURE(ReactorFixture, "a new fd of the number of a forgotten one starts afresh") {
    Pair pair;
    Wait old_wait, new_wait;
    REQUIRE(reactor->add(old_wait, pair.ours, Interest::read) == 0);
    pair.say();
    reactor->forget(pair.ours);
    pair.reopen();
    REQUIRE(reactor->add(new_wait, pair.ours, Interest::read) == 0);
    CHECK_FALSE(reactor->poll());
    CHECK(new_wait.fires() == 0);
    pair.say();
    CHECK(reactor->poll());
    CHECK(new_wait.readies == 1);
}

TEST_CASE_FIXTURE(ReactorFixture,
                  "an event of an fd that was replaced while events were delivered does not fire the new wait") {
    // Both are ready in one batch; whichever fires first replaces the other's fd and waits for the new one.
    Pair pairs[2];
    Wait waits[2], news[2];
    int replaced = -1;
    for (int i : {0, 1}) {
        waits[i].then = [&, i] {
            if (replaced >= 0) return;
            replaced = 1 - i;
            Pair& other = pairs[replaced];
            reactor->forget(other.ours);
            other.reopen();
            CHECK(reactor->add(news[replaced], other.ours, Interest::read) == 0);
        };
        REQUIRE(reactor->add(waits[i], pairs[i].ours, Interest::read) == 0);
        pairs[i].say();
    }
    CHECK(reactor->poll());
    REQUIRE(replaced >= 0);
    CHECK(waits[1 - replaced].readies == 1);
    CHECK(waits[replaced].closes == 1);
    CHECK(news[replaced].fires() == 0);
    CHECK_FALSE(reactor->poll());
    pairs[replaced].say();
    CHECK(reactor->poll());
    CHECK(news[replaced].readies == 1);
}

TEST_CASE_FIXTURE(ReactorFixture, "an event under way for a removed wait does not fire one that was added after it") {
    Pair pairs[2];
    Wait waits[2], later;
    int replaced = -1;
    for (int i : {0, 1}) {
        waits[i].then = [&, i] {
            if (replaced >= 0) return;
            replaced = 1 - i;
            pairs[replaced].drain();  // so that the event tells something that is no longer true
            reactor->remove(waits[replaced]);
            CHECK(reactor->add(later, pairs[replaced].ours, Interest::read) == 0);
        };
        REQUIRE(reactor->add(waits[i], pairs[i].ours, Interest::read) == 0);
        pairs[i].say();
    }
    CHECK(reactor->poll());
    CHECK(later.fires() == 0);
    CHECK(later.registered());
    pairs[replaced].say();
    CHECK(reactor->poll());
    CHECK(later.readies == 1);
}

TEST_CASE_FIXTURE(ReactorFixture,
                  "an fd closed without forget, kept open by a duplicate, neither spins nor fires others") {
    Pair pair;
    Wait old;
    Wait wait;
    REQUIRE(reactor->add(old, pair.ours, Interest::read) == 0);
    reactor->remove(old);
    const int duplicate = dup(pair.ours);  // keeps the kernel's registration alive
    const int old_peer = std::exchange(pair.theirs, -1);
    pair.reopen();  // closes `ours` on the way
    REQUIRE(write(old_peer, "x", 1) == 1);
    REQUIRE(reactor->add(wait, pair.ours, Interest::read) == 0);
    for (int i = 0; i < 3; ++i) CHECK_FALSE(reactor->poll());
    CHECK(wait.fires() == 0);
    CHECK(can_sleep());
    pair.say();
    CHECK(reactor->poll());
    CHECK(wait.readies == 1);
    close(duplicate);
    close(old_peer);
}

TEST_CASE_FIXTURE(ReactorFixture, "an fd closed and opened anew without forget can be waited for") {
    Pair pair;
    Wait old;
    Wait wait;
    pair.say();
    REQUIRE(reactor->add(old, pair.ours, Interest::read) == 0);
    CHECK(reactor->poll());
    pair.reopen();
    REQUIRE(reactor->add(wait, pair.ours, Interest::read) == 0);
    CHECK_FALSE(reactor->poll());
    pair.say();
    CHECK(reactor->poll());
    CHECK(wait.readies == 1);
}

TEST_CASE_FIXTURE(ReactorFixture,
                  "a wait whose file was replaced is closed when the next one comes, which gets its own events") {
    Pair pair;
    Wait old;
    Wait fresh;
    REQUIRE(reactor->add(old, pair.ours, Interest::read) == 0);
    pair.reopen();
    REQUIRE(reactor->add(fresh, pair.ours, Interest::read) == 0);
    CHECK(old.closes == 1);
    pair.say();
    CHECK(reactor->poll());
    CHECK(fresh.readies == 1);
    CHECK(old.fires() == 1);
}

TEST_CASE_FIXTURE(ReactorFixture, "an event of a file that has lost its number does not say that the number is ready") {
    Pair pair;
    Wait wait;
    REQUIRE(reactor->add(wait, pair.ours, Interest::read) == 0);
    const int duplicate = dup(pair.ours);
    const int old_peer = std::exchange(pair.theirs, -1);
    pair.reopen();
    REQUIRE(write(old_peer, "x", 1) == 1);
    CHECK(reactor->poll());
    CHECK(wait.readies == 0);
    CHECK(wait.closes == 1);
    close(duplicate);
    close(old_peer);
}

TEST_CASE_FIXTURE(ReactorFixture, "waits whose file was closed or replaced without a word are found out in a sleep") {
    for (const bool replaced : {true, false}) {
        Pair pair;
        Pair other;
        Wait lost;
        Wait kept;
        REQUIRE(reactor->add(lost, pair.ours, Interest::read) == 0);
        REQUIRE(reactor->add(kept, other.ours, Interest::read) == 0);
        replaced ? pair.reopen() : pair.close_ours();
        reactor->wait(kNever);
        CHECK(lost.closes == 1);
        CHECK(kept.fires() == 0);
        other.say();
        reactor->wait(kNever);
        CHECK(kept.readies == 1);
    }
}

TEST_CASE_FIXTURE(ReactorFixture, "a wait that goes on is not taken for one for the next file of its number") {
    for (const bool owner_waits : {false, true}) {
        Pair pair;
        Wait wait;
        REQUIRE(reactor->add(wait, pair.ours, Interest::read) == 0);
        reactor->remove(wait);
        REQUIRE(reactor->add(wait, pair.ours, Interest::read) == 0);  // for the same file
        reactor->remove(wait);
        pair.reopen();
        Wait owner;
        if (owner_waits) REQUIRE(reactor->add(owner, pair.ours, Interest::read) == 0);
        CHECK(reactor->add(wait, pair.ours, Interest::read) == ESTALE);
        CHECK_FALSE(wait.registered());
        if (!owner_waits) REQUIRE(reactor->add(owner, pair.ours, Interest::read) == 0);
        pair.say();
        CHECK(reactor->poll());
        CHECK(owner.readies == 1);
        CHECK(wait.fires() == 0);
    }
}

TEST_CASE_FIXTURE(ReactorFixture, "waits through an object end with it, others of the fd go on") {
    Pair pair;
    Wait its;
    Wait others;
    its.through = &pair;
    REQUIRE(reactor->add(its, pair.ours, Interest::read) == 0);
    REQUIRE(reactor->add(others, pair.ours, Interest::read) == 0);
    reactor->end_waits(pair.ours, &pair);
    CHECK(its.closes == 1);
    CHECK(others.fires() == 0);
    pair.say();
    CHECK(reactor->poll());
    CHECK(others.readies == 1);
}

TEST_CASE_FIXTURE(ReactorFixture, "a fired wait may remove one that is about to fire") {
    Pair pair;
    Wait first, second, third;
    for (Wait* wait : {&first, &second, &third}) REQUIRE(reactor->add(*wait, pair.ours, Interest::read) == 0);
    first.then = [&] { reactor->remove(second); };
    pair.say();
    CHECK(reactor->poll());
    CHECK(first.readies == 1);
    CHECK(second.fires() == 0);
    CHECK(third.readies == 1);
}

TEST_CASE_FIXTURE(ReactorFixture, "a fired wait may forget its fd: the others about to fire are closed, once") {
    Pair pair;
    Wait first, second, writer;
    pair.fill();
    REQUIRE(reactor->add(first, pair.ours, Interest::read) == 0);
    REQUIRE(reactor->add(second, pair.ours, Interest::read) == 0);
    REQUIRE(reactor->add(writer, pair.ours, Interest::write) == 0);
    first.then = [&] {
        reactor->forget(pair.ours);
        pair.close_ours();
    };
    pair.say();
    CHECK(reactor->poll());
    CHECK(first.readies == 1);
    CHECK(second.closes == 1);
    CHECK(writer.closes == 1);
    CHECK(first.fires() + second.fires() + writer.fires() == 3);
}

TEST_CASE_FIXTURE(ReactorFixture, "a fired wait may add itself again; it fires at the next poll, not in this one") {
    Pair pair;
    Wait wait;
    wait.then = [&] {
        if (wait.readies < 3) CHECK(reactor->add(wait, pair.ours, Interest::read) == 0);
    };
    pair.say();
    REQUIRE(reactor->add(wait, pair.ours, Interest::read) == 0);
    for (int round = 1; round <= 3; ++round) {
        CHECK(reactor->poll());
        CHECK(wait.readies == round);
    }
}

TEST_CASE_FIXTURE(ReactorFixture, "a wait may die while it fires") {
    struct Suicidal : FdWait {
        explicit Suicidal(int& dead)
            : FdWait([](FdWait& wait, Ready) { delete static_cast<Suicidal*>(&wait); }), deaths(dead) {}
        ~Suicidal() { ++deaths; }
        int& deaths;
    };
    int deaths = 0;
    Pair pair;
    for (int i = 0; i < 3; ++i)
        REQUIRE(reactor->add(*std::make_unique<Suicidal>(deaths).release(), pair.ours, Interest::read) == 0);
    pair.say();
    CHECK(reactor->poll());
    CHECK(deaths == 3);
}
