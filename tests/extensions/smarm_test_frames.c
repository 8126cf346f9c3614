/* Stands for native code with large frames (OpenBLAS has one of 541 KB), compiled without -fstack-clash-protection, as wheels are. */
#include <Python.h>

/* Writes all of its frame, from the lowest address up, and calls itself. */
#define FRAME(name, bytes)                                                        \
    static long __attribute__((noinline)) name(long levels) {                     \
        volatile unsigned char frame[bytes];                                      \
        for (long i = 0; i < (bytes); ++i) frame[i] = (unsigned char)(i + levels); \
        long below = levels > 1 ? name(levels - 1) : 0;                           \
        for (long i = 0; i < (bytes); i += 997)                                   \
            if (frame[i] != (unsigned char)(i + levels)) return -1;               \
        return below < 0 ? below : below + (bytes);                               \
    }

FRAME(frame_700k, 700 * 1000L)
FRAME(frame_1500k, 1500 * 1000L)
FRAME(frame_5000k, 5000 * 1000L)

static PyObject* use(PyObject* self, PyObject* arguments) {
    (void)self;
    int kilobytes = 0;
    long levels = 1;
    if (!PyArg_ParseTuple(arguments, "i|l:use", &kilobytes, &levels)) return NULL;
    long used = kilobytes == 700 ? frame_700k(levels) : kilobytes == 1500 ? frame_1500k(levels) : frame_5000k(levels);
    return PyLong_FromLong(used);
}

static PyMethodDef functions[] = {
    {"use", use, METH_VARARGS, "use(kilobytes, levels=1): bytes of stack that it used, in frames of 700, 1500 or 5000 KB"},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "smarm_test_frames", .m_methods = functions, .m_slots = slots};

PyMODINIT_FUNC PyInit_smarm_test_frames(void) { return PyModuleDef_Init(&definition); }
