// signals.h: SIGINT and SIGTERM while a runtime runs.
//
// What:    a C handler that only counts and posts a semaphore; a thread that takes it from there and calls `request`
//          outside of any signal context. The second signal ends the process at once (128 + number).
// Life:    install() replaces the handlers that are the interpreter's or the system's own; restore() puts them back.
// Threads: install and restore on the process's main thread; request runs on the signal thread.
#pragma once

#include <functional>

namespace smarm {

class SignalWatch {
public:
    using Request = std::function<void(int signal)>;
    SignalWatch() = default;
    ~SignalWatch() { restore(); }
    SignalWatch(const SignalWatch&) = delete;
    SignalWatch& operator=(const SignalWatch&) = delete;

    // Which of the two signals to take.
    void install(bool interrupt, bool terminate, Request request);
    void restore() noexcept;
    // The first signal that came, or 0.
    static int received() noexcept;
    static void forget() noexcept;

private:
    bool installed_ = false;
};

}  // namespace smarm
