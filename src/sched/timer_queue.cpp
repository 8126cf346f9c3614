// The wheel. Time is counted in ticks since the origin. Level L has 64 slots of 64^L ticks each; 8 levels cover all
// 2^48 ticks that an Instant can reach.
//
//   a tick, in base 64:   d7 d6 d5 d4 d3 d2 d1 d0       position: the tick where the wheel stands
//
// The rule on which everything rests: an armed node lies on level L, slot dL, where L is the highest digit in which its
// tick differs from position. It follows that
//   - every occupied slot of a level lies after the position's own digit (or, while it is being fired, at it), and the
//     lowest occupied level holds the earliest node: the next slot is one count-trailing-zeros away;
//   - nodes of one tick are always in the same slot, so that lists in arming order stay in arming order;
//   - moving position keeps the rule for all nodes but those of the slot it enters, which are placed anew ("cascade").
#include "smarm/sched/timer_queue.h"

#include <bit>
#include <limits>

#include "smarm/base/assert.h"

namespace smarm {
namespace {

constexpr unsigned kTickShift = 16;
constexpr unsigned kDigitBits = 6;  // 8 was tried: as fast with a million timers, and a bitmap of four words
constexpr unsigned kSlots = 1u << kDigitBits;
constexpr unsigned kLevels = 8;
// Two lists for what is due already: one is fired while the other takes what arrives meanwhile.
constexpr std::uint16_t kFirstDuePlace = kLevels * kSlots;
constexpr unsigned kPlaces = kFirstDuePlace + 2;

using Tick = std::uint64_t;

}  // namespace

struct TimerQueue::Wheel {
    struct Chain {
        TimerNode* first = nullptr;
        TimerNode* last = nullptr;
    };

    explicit Wheel(Instant now) noexcept : origin(now), latest(now) {}

    Tick ticks_before(Instant time) const noexcept;
    Tick tick_of(Instant deadline) const noexcept;
    Instant start_of(Tick tick) const noexcept;
    std::uint16_t wheel_place(Tick tick) const noexcept;
    std::uint16_t due_place() const noexcept { return static_cast<std::uint16_t>(kFirstDuePlace + due); }
    void append(TimerNode& node, std::uint16_t place) noexcept;
    void unlink(TimerNode& node) noexcept;
    bool next_slot(std::uint16_t& place, Tick& start) const noexcept;
    void cascade(std::uint16_t place) noexcept;

    const Instant origin;
    Instant latest;     // time of the latest expire(); what is armed for it or before is due
    Tick position = 0;  // where the wheel stands; the tick of `latest` but while expire() goes there
    unsigned due = 0;   // which of the two due lists takes new nodes
    bool expiring = false;
    std::uint64_t occupied[kLevels] = {};  // bit s: slot s of the level has nodes
    Chain chains[kPlaces];
};

// Whole ticks from the origin to `time`, which must not be before it.
Tick TimerQueue::Wheel::ticks_before(Instant time) const noexcept {
    // Unsigned: the distance of two Instants may exceed what a Duration holds.
    return (static_cast<Tick>(time.time_since_epoch().count()) -
            static_cast<Tick>(origin.time_since_epoch().count())) >>
           kTickShift;
}

// The first tick at whose start `deadline` has passed.
Tick TimerQueue::Wheel::tick_of(Instant deadline) const noexcept {
    Tick tick = ticks_before(deadline);
    return start_of(tick) < deadline ? tick + 1 : tick;
}

Instant TimerQueue::Wheel::start_of(Tick tick) const noexcept {
    constexpr Tick kLast = static_cast<Tick>(std::numeric_limits<Duration::rep>::max()) >> kTickShift;
    return tick > kLast ? kNever : deadline_after(origin, Duration(static_cast<Duration::rep>(tick << kTickShift)));
}

// The rule above. `tick` must not be before position.
std::uint16_t TimerQueue::Wheel::wheel_place(Tick tick) const noexcept {
    const Tick differing = tick ^ position;
    const unsigned level = differing ? (static_cast<unsigned>(std::bit_width(differing)) - 1) / kDigitBits : 0;
    return static_cast<std::uint16_t>(level * kSlots + (tick >> (level * kDigitBits)) % kSlots);
}

void TimerQueue::Wheel::append(TimerNode& node, std::uint16_t place) noexcept {
    Chain& chain = chains[place];
    node.place_ = place;
    node.previous_ = chain.last;
    node.next_ = nullptr;
    (chain.last ? chain.last->next_ : chain.first) = &node;
    chain.last = &node;
    if (place < kFirstDuePlace) occupied[place / kSlots] |= std::uint64_t{1} << place % kSlots;
}

void TimerQueue::Wheel::unlink(TimerNode& node) noexcept {
    const std::uint16_t place = node.place_;
    Chain& chain = chains[place];
    (node.previous_ ? node.previous_->next_ : chain.first) = node.next_;
    (node.next_ ? node.next_->previous_ : chain.last) = node.previous_;
    if (!chain.first && place < kFirstDuePlace) occupied[place / kSlots] &= ~(std::uint64_t{1} << place % kSlots);
}

// Finds the earliest occupied slot and the tick at which it begins. Returns false when the wheel is empty.
bool TimerQueue::Wheel::next_slot(std::uint16_t& place, Tick& start) const noexcept {
    for (unsigned level = 0; level < kLevels; ++level) {
        if (!occupied[level]) continue;
        const unsigned slot = static_cast<unsigned>(std::countr_zero(occupied[level]));
        const unsigned shift = level * kDigitBits;
        place = static_cast<std::uint16_t>(level * kSlots + slot);
        // The position's digits above the level, the slot in the level's digit, zeroes below.
        start = ((position >> shift >> kDigitBits << kDigitBits) | slot) << shift;
        return true;
    }
    return false;
}

// Places the nodes of a slot anew, in order. position must stand at the slot's start.
void TimerQueue::Wheel::cascade(std::uint16_t place) noexcept {
    TimerNode* node = chains[place].first;
    chains[place] = {};
    occupied[place / kSlots] &= ~(std::uint64_t{1} << place % kSlots);
    while (node) {
        TimerNode* next = node->next_;
        append(*node, wheel_place(tick_of(node->deadline_)));
        node = next;
    }
}

TimerNode::~TimerNode() { SMARM_ASSERT(!armed_, "a timer died while it was armed"); }

TimerQueue::TimerQueue(Instant now) : wheel_(std::make_unique<Wheel>(now)) {}

TimerQueue::~TimerQueue() { SMARM_ASSERT(size_ == 0, "a timer queue died with armed timers"); }

void TimerQueue::arm(TimerNode& node, Instant deadline) noexcept {
    SMARM_ASSERT(!node.armed_, "a timer can be armed only once");
    SMARM_ASSERT(node.fire_, "a timer needs a function to fire");
    node.armed_ = true;
    node.deadline_ = deadline;
    // What is due already waits for the next expire(), so that a node which re-arms itself cannot trap this one.
    const bool due = deadline <= wheel_->latest;
    wheel_->append(node, due ? wheel_->due_place() : wheel_->wheel_place(wheel_->tick_of(deadline)));
    ++size_;
}

void TimerQueue::cancel(TimerNode& node) noexcept {
    if (!node.armed_) return;
    node.armed_ = false;
    wheel_->unlink(node);
    --size_;
}

// Fires the nodes of one place until it is empty. Nothing is armed into that place meanwhile: see arm().
std::size_t TimerQueue::fire_place(std::uint16_t place) noexcept {
    std::size_t fired = 0;
    while (TimerNode* node = wheel_->chains[place].first) {
        cancel(*node);
        ++fired;
        node->fire_(*node);
    }
    return fired;
}

std::size_t TimerQueue::expire(Instant now) noexcept {
    Wheel& wheel = *wheel_;
    const Tick target = wheel.ticks_before(now);
    SMARM_ASSERT(!wheel.expiring, "expire() was called by a firing timer");
    SMARM_ASSERT(now >= wheel.latest, "the timer queue's clock went back");
    wheel.expiring = true;
    wheel.latest = now;
    const std::uint16_t due = wheel.due_place();
    wheel.due ^= 1;
    std::size_t fired = fire_place(due);
    std::uint16_t place = 0;
    Tick start = 0;
    while (wheel.next_slot(place, start) && start <= target) {
        wheel.position = start;
        if (place < kSlots) fired += fire_place(place);
        else wheel.cascade(place);
    }
    wheel.position = target;
    wheel.expiring = false;
    return fired;
}

Instant TimerQueue::next_deadline() const noexcept {
    std::uint16_t place = 0;
    Tick start = 0;
    if (wheel_->chains[wheel_->due_place()].first) return wheel_->latest;
    return wheel_->next_slot(place, start) ? wheel_->start_of(start) : kNever;
}

}  // namespace smarm
