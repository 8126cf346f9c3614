// code_watch.h: being told when the running actor reaches a place in one code object.
//
// What:    an event of sys.monitoring that is local to that code, for as long as it takes: for its instructions
//          (raise_at_jump_target, ask_when_it_goes_on) or for its returns and yields (ask_at_return). One watch per
//          worker; the next one replaces it. It takes a tool number while it lasts, and nothing where all are taken.
// Calls:   setting and ending a watch runs C functions of the interpreter, and what the program has hooked into them
//          (audit hooks), with the actor's shield up: nothing is raised in there.
// Threads: the worker's, attached.
// See:     interp/safe_point.h, https://docs.python.org/3/library/sys.monitoring.html
#pragma once

#include <Python.h>

namespace smarm {

// The running frame of `state` is at a jump back: calls `raise` at its target, which is the next thing that happens,
// if the same actor still runs then; it returns false with an exception set, or true. False: nothing was set, as all
// tool numbers are taken, or as the watch before this one has not been reached: nothing is where a trace function runs.
bool raise_at_jump_target(PyThreadState* state, bool (*raise)());

// Asks the running actor, whose state it is, to come to a safe point when a frame of `code` returns or yields.
void ask_at_return(PyThreadState* state, PyCodeObject* code);

// The same when a frame of `code` executes its next instruction. Others that run that code are slower meanwhile.
void ask_when_it_goes_on(PyThreadState* state, PyCodeObject* code);

// Ends a watch that was set for the running actor, whose state it is. Cheap when there is none.
void end_watch(const PyThreadState* state);

}  // namespace smarm
