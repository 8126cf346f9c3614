// main_signals.h: what signals do to the main actor, by Python's handlers for them.
//
// What:    Ctrl-C is KeyboardInterrupt in the main actor, SIGTERM is ActorExit in it. Python's handler of SIGINT stays
//          signal.default_int_handler, whose C function is replaced: programs that look at it (asyncio.run, trio.run)
//          find what they find under python, and put in their own. So do those that look at signal.set_wakeup_fd.
// Loops:   SIGTERM does what Ctrl-C would where asyncio or trio has put in a handler of its own: it cancels what
//          asyncio.run() or trio.run() runs, as nothing else can do so in order. Once; the process ends by SIGTERM
//          after that.
// Direct:  a handler that Python calls in the middle of a blocking C call of the main actor raises there, or nothing
//          would end the call. Otherwise what a handler raises, also one of the program, is a request to the main
//          actor.
// Threads: the process's main thread, attached to the main interpreter.
#pragma once

#include <Python.h>

namespace smarm {

// Puts our C functions into the module _signal, once per process. False with an exception set.
bool install_main_signals();

// Makes SIGTERM's handler ours, if it is the default; whether SIGINT and SIGTERM are for the main actor now.
struct MainSignals {
    bool interrupt;
    bool terminate;
};
MainSignals take_main_signals();
void give_back_main_signals();

// Calls Python's handlers of the signals that have come. What they raise is requested of the main actor.
void run_signal_handlers();

}  // namespace smarm
