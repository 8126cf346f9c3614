// ending.h: how the process ends, as `python` ends.
//
// Exit codes: 0; sys.exit's; 1 after an uncaught exception; 2 for wrong arguments; 120 when the output could not be
// flushed.
//          After an uncaught KeyboardInterrupt the process ends by SIGINT, so that its caller sees why.
// Threads: the process's main thread, attached to the main interpreter, outside of the runtime.
#pragma once

namespace smarm::host {

struct Outcome {
    int exit_code = 0;
    bool interrupted = false;  // an uncaught KeyboardInterrupt
};

// Prints the current exception as `python` does at top level, and forgets it.
Outcome report_exception();

// Finalises Python and returns the process's exit code, or ends the process. Actors that were given up still use their
// interpreters: Python is then not finalised, only threads are joined, atexit functions called and output flushed.
int end_python(Outcome outcome);

}  // namespace smarm::host
