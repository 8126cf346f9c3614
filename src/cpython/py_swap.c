#define _GNU_SOURCE 1
#define Py_BUILD_CORE 1
#include "smarm/cpython/py_swap.h"

#include <link.h>
#include <pthread.h>
#include <stdint.h>

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal/pycore_ceval.h"
#include "internal/pycore_interp.h"
#include "internal/pycore_pystate.h"
#include "internal/pycore_runtime.h"

#include "cpython/py_compat.h"

#if PY_VERSION_HEX >= 0x030e0000
#define HOLDS_GIL(state) ((state)->holds_gil)
#else
#define HOLDS_GIL(state) ((state)->_status.holds_gil)
#endif

#if PY_VERSION_HEX >= 0x030f0000
#define HAS_GILSTATE_VARIABLE 1
#else
#define HAS_GILSTATE_VARIABLE 0
#endif

#define LOOK(variable) __atomic_load_n(&(variable), __ATOMIC_RELAXED)

/* ---- where CPython's thread-local variables are ------------------------------------------------------------------ */

/* This thread's copy of the thread-local variables of the program or library that PyThreadState_Swap is in. */
typedef struct {
    uintptr_t code;
    PyThreadState** first;
    size_t count;
} Variables;

static int look_for_variables(struct dl_phdr_info* object, size_t size, void* argument) {
    Variables* variables = argument;
    const ElfW(Phdr)* storage = NULL;
    int found = 0;
    for (int i = 0; i < object->dlpi_phnum; ++i) {
        const ElfW(Phdr)* part = &object->dlpi_phdr[i];
        if (part->p_type == PT_TLS) storage = part;
        const uintptr_t start = object->dlpi_addr + part->p_vaddr;
        if (part->p_type == PT_LOAD && variables->code >= start && variables->code - start < part->p_memsz) found = 1;
    }
    if (!found) return 0;
    if (storage && size >= offsetof(struct dl_phdr_info, dlpi_tls_data) + sizeof(void*) && object->dlpi_tls_data) {
        variables->first = object->dlpi_tls_data;
        variables->count = storage->p_memsz / sizeof(void*);
    }
    return 1;
}

/* The only variable that holds `own`, but for `other`. NULL: there is none, or another. */
static PyThreadState** find_variable(const Variables* variables, const PyThreadState* own, PyThreadState** other) {
    PyThreadState** found = NULL;
    for (size_t i = 0; i < variables->count; ++i) {
        PyThreadState** variable = variables->first + i;
        if (*variable != own || variable == other) continue;
        if (found) return NULL;
        found = variable;
    }
    return found;
}

/* ---- whether everything is as expected --------------------------------------------------------------------------- */

static int has_gilstate(const PyThreadState* state) {
#if HAS_GILSTATE_VARIABLE
    (void)state;
    return 1; /* it was found */
#else
    return _PyRuntime.autoTSSkey._is_initialized && pthread_getspecific(_PyRuntime.autoTSSkey._key) == state;
#endif
}

static int is_attached(const PyThreadState* state) {
    const struct _gil_runtime_state* gil = state->interp->ceval.gil;
    const uintptr_t versions = LOOK(state->eval_breaker) ^ LOOK(state->interp->ceval.instrumentation_version);
    return LOOK(gil->locked) == 1 && !(versions & ~(uintptr_t)_PY_EVAL_EVENTS_MASK) && has_gilstate(state) &&
           LOOK(gil->last_holder) == state && state->state == _Py_THREAD_ATTACHED && state->_status.active &&
           state->_status.bound_gilstate && HOLDS_GIL(state) && PyThreadState_GetUnchecked() == state &&
           PyGILState_GetThisThreadState() == state;
}

static int is_detached(const PyThreadState* state) {
    return state->state == _Py_THREAD_DETACHED && !state->_status.active && !state->_status.bound_gilstate &&
           !HOLDS_GIL(state);
}

/* To a new thread state and back. Somebody may want the GIL at this moment: then it was PyThreadState_Swap that did
 * it. */
static int can_hand_over(const SmarmSwap* swap, PyThreadState* own) {
    PyThreadState* other = PyThreadState_New(own->interp);
    if (!other) return 0;
    const uintptr_t here = (uintptr_t)&other;
    const size_t room = 128 * 1024; /* nothing runs there */
    smarm_limit_recursion(other, (void*)(here - room), room);
    int good = is_attached(own) && is_detached(other);
    if (good) {
        if (!smarm_swap(swap, own, other)) PyThreadState_Swap(other);
        good = is_attached(other) && is_detached(own);
        if (!smarm_swap(swap, other, own)) PyThreadState_Swap(own);
        good &= is_attached(own) && is_detached(other);
        smarm_release_state(other);
    }
    PyThreadState_Clear(other);
    PyThreadState_Delete(other);
    return good;
}

SmarmSwap smarm_find_swap(PyThreadState* own) {
    SmarmSwap swap = {NULL, NULL};
    Variables variables = {(uintptr_t)&PyThreadState_Swap, NULL, 0};
    dl_iterate_phdr(look_for_variables, &variables);
    if (HAS_GILSTATE_VARIABLE) {
        /* What stays when nothing is attached is PyGILState's. */
        PyThreadState_Swap(NULL);
        swap.gilstate = find_variable(&variables, own, NULL);
        PyThreadState_Swap(own);
        if (!swap.gilstate) return swap;
    }
    swap.current = find_variable(&variables, own, swap.gilstate);
    /* What smarm_signal_again() needs. */
    if (swap.current && syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) != 0)
        swap.current = NULL;
    if (swap.current && !can_hand_over(&swap, own)) swap.current = NULL;
    return swap;
}

/* ---- the hand-over ----------------------------------------------------------------------------------------------- */

/* Whether PyThreadState_Swap would do nothing but hand over. */
static inline int nothing_to_do(const PyThreadState* from, const PyThreadState* to) {
    const PyInterpreterState* interpreter = from->interp;
    const uintptr_t breaker = LOOK(to->eval_breaker);
    const uintptr_t versions = breaker ^ LOOK(interpreter->ceval.instrumentation_version);
    return !((breaker | LOOK(from->eval_breaker)) & _PY_GIL_DROP_REQUEST_BIT) && /* somebody wants the GIL, or did */
           !(versions & ~(uintptr_t)_PY_EVAL_EVENTS_MASK) &&                     /* sys.monitoring has changed */
           !LOOK(interpreter->ceval.pending.npending) && !LOOK(_PyRuntime.ceval.pending_mainthread.npending) &&
           to->state == _Py_THREAD_DETACHED && from->_status.bound_gilstate &&
           !_PyRuntimeState_GetFinalizing(&_PyRuntime) && !LOOK(interpreter->_finalizing);
}

/* SAFETY: the calling thread holds the GIL, and this thread only looks at or writes to the fields of its thread states,
 *         but for
 * eval_breaker, which everybody changes atomically. last_holder is also read by threads that wait for the GIL, to ask
 * its holder for it: one that asks `from` asks once more after the switch interval, and finds `to`. The stale request
 * makes the next swap to or from `from` one of CPython's, which takes it back: drop_gil, which waits for whoever asked,
 * never sees it. */
int smarm_swap(const SmarmSwap* swap, PyThreadState* from, PyThreadState* to) {
    if (!swap->current || *swap->current != from || !nothing_to_do(from, to)) return 0;
    from->_status.active = 0;
    from->_status.bound_gilstate = 0;
    HOLDS_GIL(from) = 0;
    from->state = _Py_THREAD_DETACHED;
    __atomic_store_n(&from->interp->ceval.gil->last_holder, to, __ATOMIC_RELAXED);
    *swap->current = to;
#if HAS_GILSTATE_VARIABLE
    *swap->gilstate = to;
#else
    pthread_setspecific(_PyRuntime.autoTSSkey._key, to); /* cannot fail: the thread has used the key before */
#endif
    to->state = _Py_THREAD_ATTACHED;
    HOLDS_GIL(to) = 1;
    to->_status.bound_gilstate = 1;
    to->_status.active = 1;
    /* A call that was added since nothing_to_do() looked may have told `from`. The compiler keeps this after the store
     * to last_holder, smarm_signal_again() makes the CPU do so. */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (__builtin_expect(LOOK(to->interp->ceval.pending.npending), 0))
        __atomic_fetch_or(&to->eval_breaker, _PY_CALLS_TO_DO_BIT, __ATOMIC_RELAXED);
    return 1;
}

void smarm_signal_again(PyInterpreterState* interpreter) {
    struct _gil_runtime_state* gil = interpreter->ceval.gil;
    syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    pthread_mutex_lock(&gil->mutex);
    /* SAFETY: see smarm_release_state(). A GIL that nobody holds is taken by take_gil, which looks for pending
     *         calls. */
    if (LOOK(gil->locked) == 1)
        __atomic_fetch_or(&LOOK(gil->last_holder)->eval_breaker, _PY_CALLS_TO_DO_BIT, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&gil->mutex);
}

void smarm_release_state(PyThreadState* state) {
    /* last_holder is another one by now: whoever takes the mutex from here on does not find this one. */
    struct _gil_runtime_state* gil = state->interp->ceval.gil;
    pthread_mutex_lock(&gil->mutex);
    pthread_mutex_unlock(&gil->mutex);
}
