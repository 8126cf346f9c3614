/* `python` with the runtime of the sanitizers in it, so that a sanitized smarm._core can be imported without preloading
 * anything into every program that a test starts. */
#include <Python.h>

int main(int argc, char** argv) { return Py_BytesMain(argc, argv); }
