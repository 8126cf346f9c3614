// interpreter.h: the own-GIL subinterpreter of one worker, from birth to end.
//
// What:    create_interpreter makes one on the calling OS thread and attaches to it; prepare_interpreter gives it the
//          main interpreter's sys.path, argv and executable and imports smarm; end_interpreter ends it on the same OS
//          thread. In between it may rest, and be prepared again: see runtime/interpreter_pool.h.
// Config:  own GIL and allocator, threads allowed, fork and daemon threads not, extensions must support isolation.
// 3.13:    an ended interpreter leaks megabytes (CPython's own leak, gone in 3.14): smarm ends each once, at shutdown.
// Errors:  create: nullptr and a sentence in `error`. prepare: false with a Python exception set.
// Threads: all three on the worker's OS thread.
#pragma once

#include <Python.h>

#include <string>

namespace smarm {

PyThreadState* create_interpreter(const char*& error);

// What a new interpreter copies from the main one; taken by snapshot_main while the main interpreter is attached.
struct MainSnapshot {
    std::string encoded;  // marshal of {"path": [...], "argv": [...], ...}
};
bool snapshot_main(MainSnapshot& snapshot);

bool prepare_interpreter(const MainSnapshot& snapshot, unsigned worker_index);

// Makes the attached interpreter forget the program, so that it can be prepared again. False: it cannot be kept, and
// the reason has been reported.
bool rest_interpreter();

// Whether this is the only thread state of the attached interpreter.
bool is_only_thread(PyThreadState* own) noexcept;

// Actors' thread states must be gone. Where threads are left that nobody waits for (of _thread; of native code: the
// pool of gevent, a server of grpc), the interpreter is left behind with what it holds: CPython would end the process.
void end_interpreter(PyThreadState* own);

// Makes the main interpreter, which is attached, end those that are kept at its exit and before it forks.
void watch_end_of_main();

}  // namespace smarm
