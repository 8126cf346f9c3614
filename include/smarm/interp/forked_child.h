// forked_child.h: what becomes of an actor in the child of a fork.
//
// What:    a child has the forking thread alone, and CPython deletes all thread states but the forking one there: no
//          other actor, no worker, no monitor is left to switch to. So the actor that forked goes on as the child's
//          main thread, outside of any runtime: this_worker() is null, calls of smarm raise NoRuntime, what was made
//          aware of actors does what it did before. It may run a runtime of its own. When the actor's function returns,
//          there is nothing to return to: end_forked_child ends the process as a program ends.
// Covers:  os.fork, os.forkpty, multiprocessing's "fork", preexec_fn of subprocess: everything that calls fork(). Not
//          vfork, whose child shares our memory.
// Threads: watch_forks once, before the first actor; the others: the child's only thread.
#pragma once

#include <Python.h>

namespace smarm {

// Calls `forget_runtime` in each child; it returns whether there was a running runtime to forget.
void watch_forks(bool (*forget_runtime)());

// How often a process was forked under a running runtime to make this one: what was made with another count has been
// left behind.
unsigned fork_count() noexcept;

// Ends the process: prints the exception (nullptr: none; stolen), runs exit functions, flushes. SystemExit gives the
// exit code.
[[noreturn]] void end_forked_child(PyObject* exception);

}  // namespace smarm
