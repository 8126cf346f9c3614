/* py_swap.h: from one thread state of an interpreter to another on the same thread, with the GIL kept in between.
 *
 * What:    PyThreadState_Swap gives the GIL up and takes it again: two mutexes, two condition variables, two fifths of
 *          the instructions of a round trip between two actors. Nobody wants that GIL most of the time; then
 *          smarm_swap() writes the few private fields that such a hand-over changes (see tstate_deactivate,
 *          tstate_activate, take_gil and drop_gil in CPython's pystate.c and ceval_gil.c). Whenever something is to be
 *          done in between, it does nothing and says so: PyThreadState_Swap must do it.
 * Checked: each thread finds CPython's thread-local variables and tries the hand-over before it relies on it
 *          (smarm_find_swap); on any difference to what this file expects it goes on with PyThreadState_Swap alone.
 * Lives:   a thread that waits for the GIL may set a bit in the thread state that holds it, while it holds the mutex of
 *          the GIL; smarm_swap() does not take that. So smarm_release_state() must come before such a thread state is
 *          freed.
 */
#ifndef SMARM_INTERP_PY_SWAP_H
#define SMARM_INTERP_PY_SWAP_H

#include <Python.h>

#ifdef __cplusplus
extern "C" {
#endif

/* CPython's variables of one OS thread; of use on that thread only. */
typedef struct {
    PyThreadState** current;  /* what is attached. NULL: not found, use PyThreadState_Swap */
    PyThreadState** gilstate; /* what PyGILState_Ensure uses; NULL: it is in pthread-specific storage (before 3.15) */
} SmarmSwap;

/* Finds them, with `own` attached, and tries a hand-over to a new thread state and back. The thread is the one that
 * will switch. */
SmarmSwap smarm_find_swap(PyThreadState* own);

/* Attaches `to` in place of `from`, which must be of the same interpreter. 0: nothing was done. */
int smarm_swap(const SmarmSwap* swap, PyThreadState* from, PyThreadState* to);

/* Before PyThreadState_Delete of a state that smarm_swap() has attached: waits for whoever may still write to it. The
 * caller has another state of that interpreter attached. */
void smarm_release_state(PyThreadState* state);

/* After smarm_add_pending_call() on another thread than the interpreter's worker: CPython tells the thread state that
 * holds the GIL, and smarm_swap() may have handed over from that one meanwhile. Costs a system call. */
void smarm_signal_again(PyInterpreterState* interpreter);

#ifdef __cplusplus
}
#endif
#endif
