/* py_compat.h: every place where smarm depends on the version of CPython or looks behind its public API.
 *
 * All version tests of the project are here and in py_compat.c. Each function says which private thing it touches and why
 * no public API does the same. C linkage: CPython's internal headers are C.
 */
#ifndef SMARM_INTERP_PY_COMPAT_H
#define SMARM_INTERP_PY_COMPAT_H

#include <Python.h>

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* NULL when this interpreter build can carry smarm, otherwise one sentence that says why not and what to do. */
const char* smarm_refuse_python(void);

/* Tells CPython how much C stack `state` has ([low, low + bytes)), so that it raises RecursionError in time.
 * Must come before the first attach of `state` (on 3.14+ the first attach would otherwise measure the OS thread's stack,
 * 118-158 us on the process's main thread). 3.14+: PyUnstable_ThreadState_SetStackProtection; 3.13: the private counter
 * c_recursion_remaining, scaled to the worst stack use per count that was measured (list.sort(key=), 1.7 KiB). */
void smarm_limit_recursion(PyThreadState* state, void* low, size_t bytes);

/* Whether `state` has its first data-stack chunk. Private field of a public struct: there is no accessor. */
int smarm_has_data_stack(const PyThreadState* state);

/* The code object (new reference) and byte offset of the instruction of the innermost Python frame, without making a frame
 * object as PyThreadState_GetFrame does. Returns 0 when there is no Python frame. */
int smarm_current_code(PyThreadState* state, PyCodeObject** code, int* instruction);

/* Makes every thread of `interpreter` call function(argument) at its next eval-breaker check; callable from any thread
 * without a thread state. Py_AddPendingCall would go to the main interpreter only. Returns 0, or -1: queue full. */
int smarm_add_pending_call(PyInterpreterState* interpreter, int (*function)(void*), void* argument);

/* The thread state that is running pending calls (an actor that switches away inside one must clear it, or no pending
 * call ever runs again), and its reset. */
void* smarm_pending_handler(PyInterpreterState* interpreter);
void smarm_clear_pending_handler(PyInterpreterState* interpreter);

/* Whether the cyclic collector is running, and whether somebody holds the import lock. */
int smarm_is_collecting(PyInterpreterState* interpreter);
int smarm_import_lock_held(PyInterpreterState* interpreter);

/* Whether worker interpreters need the main interpreter to import _datetime first (gh-136421: 3.13). */
int smarm_needs_datetime_preload(void);

/* The size of an actor's stack slot that suits this version's recursion limits, in bytes. */
size_t smarm_default_stack_bytes(void);

#ifdef __cplusplus
}
#endif
#endif
