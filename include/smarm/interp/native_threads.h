// native_threads.h: the thread pools of BLAS and OpenMP libraries, with one thread each where there are several
// workers.
//
// What:    OpenBLAS, MKL and OpenMP start as many threads as there are CPUs for each caller. Several workers that call
//          them would have workers times CPUs threads compete, which is slower than one thread for each worker. While
//          the limit is on, each such library is told once to use one thread, through its own function; what the
//          program tells it later stays. Environment variables with which the user chose a number
//          (OPENBLAS_NUM_THREADS, OMP_NUM_THREADS, MKL_NUM_THREADS ...) come first: such a library is left alone.
// When:    limit_native_threads(true), and each call of check_native_libraries(): when an extension module has been
//          loaded, and when a thread begins, since OpenMP counts for each thread.
// Not:     the environment of this process is not changed, nor threads that the program makes itself. BLIS starts with
//          one thread.
// Threads: any. Throws: no; without memory a library keeps its threads.
// See:     tests/python/test_native_threads.py, docs/reference/native-code.md
#pragma once

namespace smarm {

// On: tells every library that is loaded. Off: gives those that still have one thread what they had, on the calling
//     thread.
void limit_native_threads(bool limit) noexcept;

// While the limit is on: tells the libraries that the calling thread has not met. Cheap when there is none.
void check_native_libraries() noexcept;

}  // namespace smarm
