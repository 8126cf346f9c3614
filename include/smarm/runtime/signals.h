// signals.h: POSIX signals while a runtime runs.
//
// What:    C handlers of SIGINT, SIGTERM and SIGQUIT, and a thread that hears of them and of every other signal that
//          the program handles in Python (through Python's wake-up descriptor; the program's own gets what the thread
//          hears). SIGINT and SIGTERM become Python signals; for SIGQUIT the thread calls `on_dump`, for all others
//          `look`, which is to make the main thread call Python's handlers.
// Kick:    a signal may come a moment before a blocking call, which it then does not interrupt: until `look` has been
//          followed by handled(), the thread interrupts the main thread again, with growing pauses. It uses SIGURG for
//          that, which does nothing by default; a program that handles SIGURG itself is not interrupted again.
// Dump:    another process can ask for a dump without a signal that might end this one: it sends SIGURG to the thread,
//          which it finds by its name, with the number of a descriptor of its own, to which `on_dump` writes (opened as
//          /proc/<sender>/fd/<number>). request_dump() is the other side. No other thread is interrupted.
// Hurry:   once end_is_near() was called, or after a SIGTERM, another SIGINT or SIGTERM ends the process at once (exit
//          code 128 + number): whoever asks twice does not want to wait.
// Life:    install() replaces the handlers of the signals asked for; restore() puts the old ones back.
// Threads: install and restore on the process's main thread, attached to the main interpreter; the callbacks run on the
//          signal thread, without a thread state; the rest any. A forked child has neither handlers nor thread.
#pragma once

#include <chrono>
#include <functional>

namespace smarm {

class SignalWatch {
public:
    struct Wanted {
        bool interrupt = false;
        bool terminate = false;
        bool quit = false;
        std::function<void()> look;
        // Sees to it that a dump is written, without waiting for that: to the descriptor, which it owns then, or for
        // SIGQUIT to Reporter::kStandardError.
        std::function<void(int fd)> on_dump;
        // SIGINT or SIGTERM has come, and it is our handler that took it.
        std::function<void(int number)> on_end_asked;
        // Called after each of these, and then when the time that it returns has passed; 0: not again.
        std::function<std::chrono::milliseconds()> look_at_end;
    };
    SignalWatch() = default;
    ~SignalWatch() { restore(); }
    SignalWatch(const SignalWatch&) = delete;
    SignalWatch& operator=(const SignalWatch&) = delete;

    // False: the OS gives no pipe or thread; the signals then do what they did.
    bool install(Wanted wanted);
    void restore() noexcept;
    // The main thread has called Python's handlers.
    static void handled() noexcept;
    static void end_is_near() noexcept;
    // The descriptor that Python's C handlers write to while it is installed, else -1.
    static int wake_up_descriptor() noexcept;
    // Makes the thread write each signal's number to the program's own wake-up descriptor, too (-1: none). Returns the
    // one before.
    static int pass_on_to(int descriptor) noexcept;
    // How many signals have asked the program to end so far, in this process.
    static unsigned asked() noexcept;
    // Whether SIGTERM has come since install(), to our C handler or (note_termination) to Python's.
    static bool terminated() noexcept;
    static void note_termination() noexcept;
    // Puts the C handler of SIGINT or SIGTERM back in, if install() put it in: Python has replaced it with its own.
    static void retake(int number) noexcept;

    // Asks the process `pid` for a dump to the caller's descriptor `fd`. Returns 0 or an errno; ESRCH: it has no such
    // thread, it is no smarm program that runs.
    static int request_dump(int pid, int fd);

private:
    bool installed_ = false;
};

}  // namespace smarm
