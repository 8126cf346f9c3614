/* py_compat.h: every place where smarm depends on the version of CPython or looks behind its public API.
 *
 * All version tests of the project are here, in py_compat.c and in py_swap.c. Each function says which private thing it
 * touches and why no public API does the same. C linkage: CPython's internal headers are C.
 */
#ifndef SMARM_INTERP_PY_COMPAT_H
#define SMARM_INTERP_PY_COMPAT_H

#include <Python.h>

#include <stddef.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* NULL when this interpreter build can carry smarm, otherwise one sentence that says why not and what to do. */
const char* smarm_refuse_python(void);

/* Tells CPython how much C stack `state` has ([low, low + bytes)), so that it raises RecursionError in time.
 * Must come before the first attach of `state` (on 3.14+ the first attach would otherwise measure the OS thread's
 * stack, 118-158 us on the process's main thread). 3.14+: PyUnstable_ThreadState_SetStackProtection; 3.13: the private
 * counter c_recursion_remaining, scaled to the worst stack use per count that was measured (list.sort(key=), 1.7
 * KiB). */
void smarm_limit_recursion(PyThreadState* state, void* low, size_t bytes);

/* Whether `state` has its first data-stack chunk. Private field of a public struct: there is no accessor. */
static inline int smarm_has_data_stack(const PyThreadState* state) { return state->datastack_chunk != NULL; }

/* The code object (new reference) and byte offset of the instruction of the innermost Python frame, without making a
 * frame object as PyThreadState_GetFrame does. Returns 0 when there is no Python frame. */
int smarm_current_code(PyThreadState* state, PyCodeObject** code, int* instruction);

/* Calls visit(context, code, generator) for each Python frame of `state`, which is attached or parked, the innermost
 * first, until it returns
 * 0. generator: the generator or coroutine whose frame it is (borrowed), or NULL. It must not run Python code. Without
 *    making
 * frame objects, as PyThreadState_GetFrame does; no API tells whose frame it is. */
typedef int (*SmarmVisitFrame)(void* context, PyCodeObject* code, PyObject* generator);
void smarm_visit_frames(PyThreadState* state, SmarmVisitFrame visit, void* context);

/* Whether that generator or coroutine has come to its end. The attribute that tells (gi_frame, cr_frame, ag_frame)
 * makes a frame object. */
int smarm_generator_ended(PyObject* generator);

/* What sys._current_frames() calls a thread state: of an actor `ident`, which is greater than any number of the kernel
 * for a thread. faulthandler asks pthread_getname_np() about thread_id since 3.14: there it stays that of an OS thread.
 * The state's interpreter is attached. */
void smarm_set_thread_ident(PyThreadState* state, unsigned long ident);
unsigned long smarm_thread_ident(PyThreadState* state);

/* How many calls of Python code by C code `state` is in: the actor's own is the first. */
int smarm_entry_depth(PyThreadState* state);

/* The code that called the C code that made the innermost of these calls; borrowed from its frame. NULL: none did. */
PyCodeObject* smarm_calling_code(PyThreadState* state);

/* Whether a RESUME with this argument is the first of its function; others follow a yield or an await. */
int smarm_starts_function(int resume_argument);

/* What of an interpreter frame (private struct) a traceback needs, from a copy of its first SMARM_FRAME_BYTES bytes:
 * the frame itself may be another thread's. code is borrowed and may be no code object: look before use. */
typedef struct {
    const void* previous;
    const void* code;
    const void* instruction;
} SmarmFrame;
#define SMARM_FRAME_BYTES 80
void smarm_read_frame(const char* bytes, SmarmFrame* frame);

/* Makes every thread of `interpreter` call function(argument) at its next eval-breaker check; callable from any thread,
 * also without a thread state. An attached thread keeps its GIL meanwhile, so it may be inside an allocator.
 * Py_AddPendingCall would go to the main interpreter only. Returns 1, or 0: the queue is full, or, without may_wait,
 * somebody (perhaps this very thread) holds the lock of the list of thread states. */
int smarm_add_pending_call(PyInterpreterState* interpreter, int (*function)(void*), void* argument, int may_wait);

/* Makes every thread of `interpreter` look for pending calls again: one that meets a second call while it runs a first
 * one (3.13 to 3.15: in make_pending_calls) forgets about it. As above. */
int smarm_repeat_pending_signal(PyInterpreterState* interpreter, int may_wait);

/* How many pending calls the interpreter makes when it looks for them; more wait for its next look. Returns what it
 * was. CPython's 100 make a call that asks for itself again 100 times at the same instruction. */
int smarm_limit_pending_calls(PyInterpreterState* interpreter, int most);

/* Makes the pending calls of the attached interpreter. Py_MakePendingCalls does so in the main one on the main thread
 * only. Returns 0, or -1 with an exception set. */
int smarm_make_pending_calls(void);

/* Whether a call that is added so is made: a self-test. Returns 1, 0, or -1 with an exception set: a signal's, for
 * example. */
int smarm_test_pending_calls(void);

/* Calls visit for each thread state of `interpreter`, until one returns other than 0, which is returned. Holds the lock
 * of all thread states meanwhile, which nothing that is called may take: creating objects does not. The public
 * functions that walk the list do not lock it. Attached. */
int smarm_visit_thread_states(PyInterpreterState* interpreter, int (*visit)(PyThreadState*, void*), void* argument);

/* The exception that `state` is handling (borrowed), or NULL. Public fields; the function that does this is private. */
PyObject* smarm_handled_exception(const PyThreadState* state);

/* Where the interpreter keeps the thread state that is running pending calls: an actor that switches away inside one
 * must clear it, or no pending call ever runs again. */
PyThreadState** smarm_pending_handler(PyInterpreterState* interpreter);

/* Whether the cyclic collector is running (where the flag is: it is read at each switch). */
const int* smarm_collecting_flag(PyInterpreterState* interpreter);

/* Whether threads wait for the GIL of `interpreter`, and how often it went from one thread state to another. No API
 * tells. */
int smarm_gil_has_waiters(const PyInterpreterState* interpreter);
unsigned long smarm_gil_switches(const PyInterpreterState* interpreter);

/* Whether somebody holds the import lock. */
int smarm_import_lock_held(PyInterpreterState* interpreter);

/* Takes a subinterpreter that is left behind out of the list of interpreters, so that Py_Finalize does not end it under
 * the actors and threads that still use it (3.13: "Py_EndInterpreter: not the last thread", 3.14: a warning and worse).
 * It is never ended, then. Private list: no public API leaves an interpreter alone. Attached or not. */
void smarm_forget_interpreter(PyInterpreterState* interpreter);

/* Whether an extension module may export PyModExport_<name> (PEP 793). */
#define SMARM_HAS_MODULE_EXPORT (PY_VERSION_HEX >= 0x030f0000)

/* Whether worker interpreters need the main interpreter to import _datetime first (gh-136421: 3.13). */
int smarm_needs_datetime_preload(void);

/* Whether an exception that an extension module's PyInit raises while a worker imports it is an object of the main
 * interpreter, which runs PyInit: freed in the worker, it ends the process (gh-144601: 3.13). */
int smarm_init_errors_are_foreign(void);

/* Whether an ImportError with this text is CPython's for an extension module that does not say that it supports
 * interpreters with a GIL of their own. Nothing else tells. */
static inline int smarm_is_refusal(const char* text) {
    return strstr(text, "does not support loading in subinterpreters") != NULL;
}

#ifdef __cplusplus
}
#endif
#endif
