// select_sources.h: what select() can wait for: a channel's message, a message, a time, a descriptor.
//
// What:    each keeps what its poll() found until the caller of select() takes it from there.
// Owner:   borrows the channel. Threads: the running actor that made it, on whose stack (or heap) it is.
// Throws:  no. See: wait/select.h
#pragma once

#include "smarm/wait/channel.h"
#include "smarm/wait/fd.h"
#include "smarm/wait/select.h"

namespace smarm {

// Receives from a channel. status: ok with the message, or closed.
class ChannelSource final : public SelectSource {
public:
    ChannelSource(Channel& channel, Actor& actor) noexcept : channel_(channel), waiter_(actor) {}
    bool poll() override { return (status = channel_.try_receive(message)) != Status::timed_out; }
    bool enroll(Actor&) noexcept override { return channel_.watch(waiter_); }
    void withdraw() noexcept override { channel_.unwatch(waiter_); }
    Channel& channel() const noexcept { return channel_; }

    Status status = Status::timed_out;
    Message message;

private:
    Channel& channel_;
    Waiter waiter_;
};

// Looks into the actor's own mailbox; take() says what it may have.
class MailboxSource : public SelectSource {
public:
    explicit MailboxSource(Actor& self) noexcept : self_(self) {}
    bool poll() override {
        if (self_.mailbox.empty()) return false;
        message = self_.take_message(0);
        return true;
    }
    bool enroll(Actor&) noexcept override { return self_.mailbox.size() <= seen_; }
    void withdraw() noexcept override {}
    bool is_mailbox() const noexcept override { return true; }

    Message message;

protected:
    Actor& self_;
    std::size_t seen_ = 0;  // messages that poll() has looked at and left where they are
};

// A moment.
class TimeSource final : public SelectSource {
public:
    explicit TimeSource(Instant due) noexcept : due_(due) {}
    bool poll() override { return this_worker()->driver().now() >= due_; }
    bool enroll(Actor&) noexcept override { return true; }
    void withdraw() noexcept override {}
    Instant due() const noexcept override { return due_; }

private:
    const Instant due_;
};

// A descriptor that can be read or written. end: ready, closed or failed.
class FdSource final : public SelectSource {
public:
    FdSource(int fd, Interest interest) noexcept : watch_(fd, interest) {}
    bool poll() override { return watch_.look(end); }
    bool enroll(Actor& actor) noexcept override { return watch_.watch(actor); }
    void withdraw() noexcept override { watch_.unwatch(); }

    FdEnd end;

private:
    FdWatch watch_;
};

}  // namespace smarm
