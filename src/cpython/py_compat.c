#define Py_BUILD_CORE 1
#include "cpython/py_compat.h"

#include <sched.h>

#include "internal/pycore_ceval.h"
#include "internal/pycore_frame.h"
#include "internal/pycore_interp.h"
#include "internal/pycore_opcode_utils.h"
#include "internal/pycore_pystate.h"
#include "opcode_ids.h"

#if PY_VERSION_HEX >= 0x030e0000
#include "internal/pycore_interpframe.h"
#endif

#if PY_VERSION_HEX < 0x030d0000 || PY_VERSION_HEX >= 0x03100000
#error "smarm knows the private fields of CPython 3.13 to 3.15: see docs/explanation/behind-public-interfaces.md"
#endif

#if PY_VERSION_HEX >= 0x030e0000
/* Weak: added in 3.14.2; smarm_refuse_python() says so when it is missing at run time. */
extern int PyUnstable_ThreadState_SetStackProtection(PyThreadState*, void*, size_t) __attribute__((weak));
#endif

const char* smarm_refuse_python(void) {
#ifdef Py_GIL_DISABLED
    return "smarm does not run on free-threaded builds of CPython: use the build with the GIL.";
#elif PY_VERSION_HEX >= 0x030e0000
    if (!PyUnstable_ThreadState_SetStackProtection)
        return "smarm needs CPython 3.14.2 or newer of the 3.14 series: 3.14.0 and 3.14.1 have no way to say how large "
               "an "
               "actor's stack is.";
    return NULL;
#else
    return NULL;
#endif
}

void smarm_limit_recursion(PyThreadState* state, void* low, size_t bytes) {
    /* Where the stack is large enough for native code, some is left for what the deepest Python function calls. */
    const size_t native_reserve = bytes > 4 * 1024 * 1024 ? 1024 * 1024 : 0;
#if PY_VERSION_HEX >= 0x030e0000
    /* Refused only below 48 KiB, which no slot of ours has. */
    if (PyUnstable_ThreadState_SetStackProtection(state, (char*)low + native_reserve, bytes - native_reserve) != 0)
        Py_FatalError("smarm: an actor's stack is too small");
#else
    const size_t bytes_per_count = 1792;
    const size_t reserve = 20 * 1024; /* for what runs below the last counted call: signal frames, error handling */
    size_t counts = (bytes - native_reserve - reserve) / bytes_per_count;
    if (counts > Py_C_RECURSION_LIMIT) counts = Py_C_RECURSION_LIMIT;
    state->c_recursion_remaining = (int)counts;
    (void)low;
#endif
}

int smarm_current_code(PyThreadState* state, PyCodeObject** code, int* instruction) {
    struct _PyInterpreterFrame* frame = state->current_frame;
    while (frame && _PyFrame_IsIncomplete(frame)) frame = frame->previous;
    if (!frame) return 0;
    *code = (PyCodeObject*)PyUnstable_InterpreterFrame_GetCode(frame);
    *instruction = PyUnstable_InterpreterFrame_GetLasti(frame);
    return 1;
}

/* SAFETY: a frame of that owner is the last field of its generator; coroutines and asynchronous generators have the
 *         same fields. */
static PyObject* generator_of(struct _PyInterpreterFrame* frame) {
    if (frame->owner != FRAME_OWNED_BY_GENERATOR) return NULL;
    return (PyObject*)((char*)frame - offsetof(PyGenObject, gi_iframe));
}

void smarm_visit_frames(PyThreadState* state, SmarmVisitFrame visit, void* context) {
    for (struct _PyInterpreterFrame* frame = state->current_frame; frame; frame = frame->previous) {
        if (_PyFrame_IsIncomplete(frame)) continue;
        PyCodeObject* code = (PyCodeObject*)PyUnstable_InterpreterFrame_GetCode(frame);
        const int more = visit(context, code, generator_of(frame));
        Py_DECREF(code); /* the frame keeps it alive */
        if (!more) return;
    }
}

int smarm_generator_ended(PyObject* generator) {
    return FRAME_STATE_FINISHED(((PyGenObject*)generator)->gi_frame_state);
}

void smarm_set_thread_ident(PyThreadState* state, unsigned long ident) {
#if PY_VERSION_HEX >= 0x030e0000
    state->native_thread_id = ident;
#else
    state->thread_id = ident;
#endif
}

unsigned long smarm_thread_ident(PyThreadState* state) {
#if PY_VERSION_HEX >= 0x030e0000
    if (state->native_thread_id > INT_MAX) return state->native_thread_id; /* no pid_t */
#endif
    return state->thread_id;
}

static int is_entry(const struct _PyInterpreterFrame* frame) {
#if PY_VERSION_HEX >= 0x030e0000
    return frame->owner >= FRAME_OWNED_BY_INTERPRETER;
#else
    return frame->owner == FRAME_OWNED_BY_CSTACK;
#endif
}

int smarm_entry_depth(PyThreadState* state) {
    int depth = 0;
    for (struct _PyInterpreterFrame* frame = state->current_frame; frame; frame = frame->previous)
        depth += is_entry(frame);
    return depth;
}

PyCodeObject* smarm_calling_code(PyThreadState* state) {
    struct _PyInterpreterFrame* frame = state->current_frame;
    while (frame && !is_entry(frame)) frame = frame->previous;
    while (frame && _PyFrame_IsIncomplete(frame)) frame = frame->previous; /* entries are, too */
    if (!frame) return NULL;
    PyCodeObject* code = (PyCodeObject*)PyUnstable_InterpreterFrame_GetCode(frame);
    Py_DECREF(code); /* the frame keeps it alive */
    return code;
}

int smarm_starts_function(int resume_argument) {
    const int location = resume_argument & RESUME_OPARG_LOCATION_MASK;
#ifdef RESUME_AT_GEN_EXPR_START
    if (location == RESUME_AT_GEN_EXPR_START) return 1;
#endif
    return location == RESUME_AT_FUNC_START;
}

_Static_assert(sizeof(struct _PyInterpreterFrame) >= SMARM_FRAME_BYTES, "a frame is shorter than what is copied of it");
_Static_assert(offsetof(struct _PyInterpreterFrame, instr_ptr) + sizeof(void*) <= SMARM_FRAME_BYTES,
               "instr_ptr is not copied");

void smarm_read_frame(const char* bytes, SmarmFrame* frame) {
    const struct _PyInterpreterFrame* copy = (const struct _PyInterpreterFrame*)bytes;
    frame->previous = copy->previous;
#if PY_VERSION_HEX >= 0x030e0000
    frame->code =
        (const void*)(copy->f_executable.bits & ~(uintptr_t)3); /* without the tag bits of a stack reference */
#else
    frame->code = copy->f_executable;
#endif
    frame->instruction = copy->instr_ptr;
}

/* ---- CPython's mutexes ------------------------------------------------------------------------------------------- */

/* PyMutex_Lock lets go of the GIL while it waits, which must not happen inside of somebody's malloc. Whoever holds one
 * of these locks needs no GIL to get to its end.
 * SAFETY: the bits are CPython's: locked, and whether threads are parked, which PyMutex_Unlock wakes. */
static int try_lock(PyMutex* mutex) {
    uint8_t bits = __atomic_load_n(&mutex->_bits, __ATOMIC_RELAXED);
    /* Acquire: pairs with the release in PyMutex_Unlock. */
    return !(bits & _Py_LOCKED) &&
           __atomic_compare_exchange_n(&mutex->_bits, &bits, bits | _Py_LOCKED, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static void lock_with_gil(PyMutex* mutex) {
    while (!try_lock(mutex)) sched_yield();
}

/* The lock of the list of interpreters and thread states is not recursive, and sys._current_frames() allocates while it
 * holds it. */
static int lock_interpreters(int may_wait) {
    PyMutex* all = &_PyRuntime.interpreters.mutex;
    if (!may_wait) return try_lock(all);
    lock_with_gil(all);
    return 1;
}

static void unlock_interpreters(void) { PyMutex_Unlock(&_PyRuntime.interpreters.mutex); }

/* ---- pending calls ----------------------------------------------------------------------------------------------- */

static void signal_all(PyInterpreterState* interpreter) {
    for (PyThreadState* state = interpreter->threads.head; state; state = state->next)
        _Py_set_eval_breaker_bit(state, _PY_CALLS_TO_DO_BIT);
}

/* As _PyEval_AddPendingCall, which takes its lock with PyMutex_Lock. */
static int push(struct _pending_calls* pending, int (*function)(void*), void* argument) {
    lock_with_gil(&pending->mutex);
    const int has_room = pending->npending < pending->max;
    if (has_room) {
        pending->calls[pending->next] = (struct _pending_call){.func = function, .arg = argument};
        pending->next = (pending->next + 1) % PENDINGCALLSARRAYSIZE;
        __atomic_fetch_add(&pending->npending, 1, __ATOMIC_SEQ_CST); /* read without the lock, here and in CPython */
    }
    PyMutex_Unlock(&pending->mutex);
    return has_room;
}

int smarm_add_pending_call(PyInterpreterState* interpreter, int (*function)(void*), void* argument, int may_wait) {
    if (!lock_interpreters(may_wait)) return 0;
    const int added = push(&interpreter->ceval.pending, function, argument);
    if (added) signal_all(interpreter);
    unlock_interpreters();
    return added;
}

int smarm_repeat_pending_signal(PyInterpreterState* interpreter, int may_wait) {
    if (!lock_interpreters(may_wait)) return 0;
    signal_all(interpreter);
    unlock_interpreters();
    return 1;
}

int smarm_limit_pending_calls(PyInterpreterState* interpreter, int most) {
    struct _pending_calls* pending = &interpreter->ceval.pending;
    lock_with_gil(&pending->mutex);
    const int before = pending->maxloop;
    pending->maxloop = most;
    PyMutex_Unlock(&pending->mutex);
    return before;
}

int smarm_make_pending_calls(void) {
    /* A loop, whose backward jump looks for them. Its builtins are none: those of a running frame are the program's. */
    PyObject* names = PyDict_New();
    PyObject* builtins = PyDict_New();
    PyObject* done = NULL;
    if (names && builtins && PyDict_SetItemString(names, "__builtins__", builtins) == 0)
        done = PyRun_String("for _ in (1, 2): pass", Py_file_input, names, names);
    Py_XDECREF(done);
    Py_XDECREF(builtins);
    Py_XDECREF(names);
    return done ? 0 : -1;
}

static int note_call(void* called) {
    *(int*)called = 1;
    return 0;
}

int smarm_test_pending_calls(void) {
    static int called; /* static: should the call be made after all, later */
    if (called) return 1;
    if (smarm_add_pending_call(PyInterpreterState_Get(), note_call, &called, 1) && smarm_make_pending_calls() != 0)
        return -1;
    return called;
}

int smarm_visit_thread_states(PyInterpreterState* interpreter, int (*visit)(PyThreadState*, void*), void* argument) {
    int answer = 0;
    lock_interpreters(1);
    for (PyThreadState* state = interpreter->threads.head; state && answer == 0; state = state->next)
        answer = visit(state, argument);
    unlock_interpreters();
    return answer;
}

PyObject* smarm_handled_exception(const PyThreadState* state) {
    const _PyErr_StackItem* item = state->exc_info;
    while (item && (!item->exc_value || item->exc_value == Py_None)) item = item->previous_item;
    return item ? item->exc_value : NULL;
}

PyThreadState** smarm_pending_handler(PyInterpreterState* interpreter) {
    return &interpreter->ceval.pending.handling_thread;
}

const int* smarm_collecting_flag(PyInterpreterState* interpreter) { return &interpreter->gc.collecting; }

int smarm_gil_has_waiters(const PyInterpreterState* interpreter) {
#ifdef __GLIBC__
    /* SAFETY: a word of glibc's condition variable, since 2.25: the count of waiters above three flags. Only looked
     *         at. */
    return __atomic_load_n(&interpreter->ceval.gil->cond.__data.__wrefs, __ATOMIC_RELAXED) >> 3 != 0;
#else
    (void)interpreter;
    return 1; /* there may be */
#endif
}

unsigned long smarm_gil_switches(const PyInterpreterState* interpreter) {
    return __atomic_load_n(&interpreter->ceval.gil->switch_number, __ATOMIC_RELAXED);
}

int smarm_import_lock_held(PyInterpreterState* interpreter) { return interpreter->imports.lock.mutex._bits != 0; }

void smarm_forget_interpreter(PyInterpreterState* interpreter) {
    lock_interpreters(1);
    PyInterpreterState** link = &_PyRuntime.interpreters.head;
    while (*link && *link != interpreter) link = &(*link)->next;
    if (*link) *link = interpreter->next;
    unlock_interpreters();
}

int smarm_needs_datetime_preload(void) {
#if PY_VERSION_HEX < 0x030e0000
    return 1;
#else
    return 0;
#endif
}

int smarm_init_errors_are_foreign(void) {
#if PY_VERSION_HEX < 0x030e0000
    return 1;
#else
    return 0;
#endif
}
