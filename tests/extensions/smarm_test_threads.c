/* A module with threads of its own, which call Python by PyGILState_Ensure, and with pending calls. */
#include <Python.h>
#include <pthread.h>
#include <time.h>

typedef struct {
    PyObject* function;
    PyObject* result;
    PyObject* exception;
} Call;

static void* call(void* data) {
    Call* the = data;
    const PyGILState_STATE state = PyGILState_Ensure();
    the->result = PyObject_CallNoArgs(the->function);
    the->exception = PyErr_GetRaisedException();
    PyGILState_Release(state);
    return NULL;
}

static PyObject* call_in_thread(PyObject* self, PyObject* function) {
    (void)self;
    Call the = {function, NULL, NULL};
    pthread_t thread;
    if (pthread_create(&thread, NULL, call, &the) != 0) return PyErr_SetFromErrno(PyExc_OSError);
    Py_BEGIN_ALLOW_THREADS;
    pthread_join(thread, NULL);
    Py_END_ALLOW_THREADS;
    if (the.exception != NULL) PyErr_SetRaisedException(the.exception);
    return the.result;
}

static void* find_interpreter(void* data) {
    const PyGILState_STATE state = PyGILState_Ensure();
    *(int64_t*)data = PyInterpreterState_GetID(PyInterpreterState_Get());
    PyGILState_Release(state);
    return NULL;
}

static PyObject* interpreter_in_thread(PyObject* self, PyObject* unused) {
    (void)self, (void)unused;
    int64_t found = -1;
    pthread_t thread;
    if (pthread_create(&thread, NULL, find_interpreter, &found) != 0) return PyErr_SetFromErrno(PyExc_OSError);
    Py_BEGIN_ALLOW_THREADS;
    pthread_join(thread, NULL);
    Py_END_ALLOW_THREADS;
    return PyLong_FromLongLong(found);
}

static PyObject* own_interpreter(PyObject* self, PyObject* unused) {
    (void)self, (void)unused;
    return PyLong_FromLongLong(PyInterpreterState_GetID(PyInterpreterState_Get()));
}

static PyObject* main_interpreter(PyObject* self, PyObject* unused) {
    (void)self, (void)unused;
    return PyLong_FromLongLong(PyInterpreterState_GetID(PyInterpreterState_Main()));
}

static void* call_until_false(void* function) {
    const struct timespec pause = {0, 1000 * 1000};
    for (int goes_on = 1; goes_on;) {
        const PyGILState_STATE state = PyGILState_Ensure();
        PyObject* result = PyObject_CallNoArgs(function);
        goes_on = result != NULL && PyObject_IsTrue(result) > 0;
        if (result == NULL) PyErr_WriteUnraisable(function);
        Py_XDECREF(result);
        if (!goes_on) Py_DECREF((PyObject*)function);
        PyGILState_Release(state);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static PyObject* start(PyObject* self, PyObject* function) {
    (void)self;
    pthread_t thread;
    if (pthread_create(&thread, NULL, call_until_false, Py_NewRef(function)) != 0) {
        Py_DECREF(function);
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    pthread_detach(thread);
    Py_RETURN_NONE;
}

static int call_pending(void* function) {
    PyObject* result = PyObject_CallNoArgs(function);
    Py_DECREF((PyObject*)function);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static PyObject* add_pending_call(PyObject* self, PyObject* function) {
    (void)self;
    if (Py_AddPendingCall(call_pending, Py_NewRef(function)) == 0) Py_RETURN_TRUE;
    Py_DECREF(function);
    Py_RETURN_FALSE;
}

extern char** environ;

static PyObject* count_environment(PyObject* self, PyObject* unused) {
    (void)self, (void)unused;
    long count = 0;
    while (environ != NULL && environ[count] != NULL) ++count;
    return PyLong_FromLong(count);
}

static PyMethodDef functions[] = {
    {"call_in_thread", call_in_thread, METH_O, "call_in_thread(function): what it returns or raises, in a new thread"},
    {"interpreter_in_thread", interpreter_in_thread, METH_NOARGS, "the id of the interpreter that a new thread finds"},
    {"own_interpreter", own_interpreter, METH_NOARGS, "the id of the interpreter that calls"},
    {"main_interpreter", main_interpreter, METH_NOARGS, "the id of the one that PyInterpreterState_Main returns"},
    {"start", start, METH_O, "start(function): a thread calls it each millisecond, until it returns a false value"},
    {"add_pending_call", add_pending_call, METH_O, "add_pending_call(function): whether Py_AddPendingCall took it"},
    {"count_environment", count_environment, METH_NOARGS, "how many variables the C variable environ has"},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "smarm_test_threads", .m_methods = functions, .m_slots = slots};

PyMODINIT_FUNC PyInit_smarm_test_threads(void) { return PyModuleDef_Init(&definition); }
