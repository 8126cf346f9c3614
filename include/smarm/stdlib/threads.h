// stdlib/threads.h: Thread.join and queue.SimpleQueue.get, made aware of actors.
//
// What:    replaces _thread.start_joinable_thread and _ThreadHandle.join, once per process, and _queue.SimpleQueue's
//          get, put and put_nowait when _queue is first imported (see stdlib/socket.h): called from an actor, join
//          parks until the thread has ended, without a thread that waits for it, and get until an actor or a thread
//          puts something. Everywhere else the originals decide.
// Order:   each put wakes the actor that has waited longest; a get that comes at that moment may be faster.
// Threads: the main interpreter attached. Errors: false with a Python exception when this CPython is not as we know it.
// See:     tests/python/test_stdlib_threads.py, docs/explanation/internals/stdlib.md
#pragma once

namespace smarm {

bool install_stdlib_threads();

}  // namespace smarm
