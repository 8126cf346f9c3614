// channels.h: channels of numbers, for the tests of channels and of what uses them.
//
// What:    send and receive speak in numbers and check that who has the message follows from the status; local() makes
//          messages of local objects that are only numbers, whose release note_release writes down.
#pragma once

#include <vector>

#include "smarm/wait/channel.h"
#include "test_scheduler.h"

namespace smarm::testing {

using Alone = TestScheduler<VirtualDriver>;
using Numbers = std::vector<std::uint64_t>;

inline Message parcel(std::uint64_t number) { return Message(number_parcel(number)); }
inline std::uint64_t number_of(Message message) { return number_in(*message.take_parcel()); }
inline Instant in(Duration duration) { return deadline_after(this_worker()->driver().now(), duration); }

inline Status send(Channel& channel, std::uint64_t number, Instant deadline = kNever) {
    Message message = parcel(number);
    const Status status = channel.send(message, deadline);
    SMARM_ASSERT(static_cast<bool>(message) == (status != Status::ok),
                 "who has the message must follow from the status");
    return status;
}
// Appends what comes to `numbers`.
inline Status receive(Channel& channel, Numbers& numbers, Instant deadline = kNever) {
    Message message;
    const Status status = channel.receive(message, deadline);
    SMARM_ASSERT(static_cast<bool>(message) == (status == Status::ok), "a message comes with ok only");
    if (status == Status::ok) numbers.push_back(number_of(std::move(message)));
    return status;
}
inline Status receive_all(Channel& channel, Numbers& numbers) {
    for (;;) {
        if (const Status status = receive(channel, numbers); status != Status::ok) return status;
    }
}

// A channel that several workers may use from the start.
inline Ref<Channel> shared_channel(std::size_t capacity = Channel::kUnbounded, OnFull on_full = OnFull::wait) {
    auto channel = make_shared_ref<Channel>(capacity, on_full);
    channel->share([](Message&) { return true; });
    return channel;
}

// Local objects that are only numbers: 8 * number, never followed.
inline Message local(std::uint64_t number) { return Message::local(reinterpret_cast<void*>(number * 8)); }
inline Numbers released;
inline void note_release(void* object) { released.push_back(reinterpret_cast<std::uintptr_t>(object) / 8); }

}  // namespace smarm::testing
