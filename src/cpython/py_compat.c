#define Py_BUILD_CORE 1
#include "cpython/py_compat.h"

#include "internal/pycore_ceval.h"
#include "internal/pycore_frame.h"
#include "internal/pycore_interp.h"
#include "internal/pycore_pystate.h"
#include "opcode_ids.h"
#if PY_VERSION_HEX >= 0x030e0000
#include "internal/pycore_interpframe.h"
#endif

#if PY_VERSION_HEX < 0x030d0000
#error "smarm needs CPython 3.13 or newer"
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
#if PY_VERSION_HEX >= 0x030e0000
    /* Refused only below 48 KiB, which no slot of ours has. */
    if (PyUnstable_ThreadState_SetStackProtection(state, low, bytes) != 0)
        Py_FatalError("smarm: an actor's stack is too small");
#else
    const size_t bytes_per_count = 1792;
    const size_t reserve = 20 * 1024; /* for what runs below the last counted call: signal frames, error handling */
    size_t counts = (bytes - reserve) / bytes_per_count;
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

int smarm_enters_with(PyCodeObject* code, int instruction) {
#if PY_VERSION_HEX >= 0x030e0000
    const size_t index = (size_t)instruction / sizeof(_Py_CODEUNIT);
    return index > 0 &&
           _PyCode_CODE(code)[index - 1].op.code == LOAD_SPECIAL; /* codegen_with: LOAD_SPECIAL __enter__, CALL */
#else
    (void)code, (void)instruction;
    return 0; /* BEFORE_WITH */
#endif
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

int smarm_add_pending_call(PyInterpreterState* interpreter, int (*function)(void*), void* argument) {
    return _PyEval_AddPendingCall(interpreter, function, argument, 0) == _Py_ADD_PENDING_SUCCESS ? 0 : -1;
}

int smarm_may_signal(void) { return _PyRuntime.interpreters.mutex._bits == 0; }

void smarm_repeat_pending_signal(PyInterpreterState* interpreter) {
    PyMutex* all = &_PyRuntime.interpreters.mutex;
    PyMutex_Lock(all);
    for (PyThreadState* state = interpreter->threads.head; state; state = state->next)
        _Py_set_eval_breaker_bit(state, _PY_CALLS_TO_DO_BIT);
    PyMutex_Unlock(all);
}

PyThreadState** smarm_pending_handler(PyInterpreterState* interpreter) {
    return &interpreter->ceval.pending.handling_thread;
}

const int* smarm_collecting_flag(PyInterpreterState* interpreter) { return &interpreter->gc.collecting; }

int smarm_gil_has_waiters(const PyInterpreterState* interpreter) {
#ifdef __GLIBC__
    /* SAFETY: a word of glibc's condition variable, since 2.25: the count of waiters above three flags. Only looked at. */
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
    struct pyinterpreters* all = &_PyRuntime.interpreters;
    PyMutex_Lock(&all->mutex);
    PyInterpreterState** link = &all->head;
    while (*link && *link != interpreter) link = &(*link)->next;
    if (*link) *link = interpreter->next;
    PyMutex_Unlock(&all->mutex);
}

int smarm_needs_datetime_preload(void) {
#if PY_VERSION_HEX < 0x030e0000
    return 1;
#else
    return 0;
#endif
}

size_t smarm_default_stack_bytes(void) {
#if PY_VERSION_HEX >= 0x030e0000
    return 256 * 1024; /* limits are addresses: all of the stack is usable */
#else
    return 1024 * 1024; /* limits are counts of the worst case, and the parser's 4000 levels take up to 900 KiB */
#endif
}
