// signals.h: SIGINT, SIGTERM and SIGQUIT while a runtime runs.
//
// What:    C handlers that only set a bit and post a semaphore; a thread that takes it from there and calls `request(number)`
//          outside of any signal context. Once end_is_near() was called, or after a SIGTERM, another SIGINT or SIGTERM ends
//          the process at once (exit code 128 + number): whoever asks twice does not want to wait.
// Life:    install() replaces the handlers of the signals asked for; restore() puts the old ones back.
// Threads: install and restore on the process's main thread; request runs on the signal thread; the rest any.
#pragma once

#include <functional>

namespace smarm {

class SignalWatch {
public:
    using Request = std::function<void(int number)>;
    SignalWatch() = default;
    ~SignalWatch() { restore(); }
    SignalWatch(const SignalWatch&) = delete;
    SignalWatch& operator=(const SignalWatch&) = delete;

    struct Wanted {
        bool interrupt = false;
        bool terminate = false;
        bool quit = false;
    };
    // False: the OS gives no thread; the signals then do what they did.
    bool install(Wanted wanted, Request request);
    void restore() noexcept;
    static void end_is_near() noexcept;
    // Whether SIGTERM has come since install().
    static bool terminated() noexcept;

private:
    bool installed_ = false;
};

}  // namespace smarm
