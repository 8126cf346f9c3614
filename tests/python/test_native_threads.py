"""BLAS and OpenMP libraries use one thread each where there are several workers, unless somebody says otherwise."""

import importlib.util
import os
import shutil
import subprocess

import pytest

# Libraries with the functions and the names that real ones have. The process starts with 7 threads; OpenMP counts for each thread.
BLAS = """
static int threads = 7;
void PREFIX_set_num_threadsSUFFIX(int n) { threads = n; }
int PREFIX_get_num_threadsSUFFIX(void) { return threads; }
"""
MKL = """
static int threads = 7;
void MKL_Set_Num_Threads(int n) { threads = n; }
int MKL_Get_Max_Threads(void) { return threads; }
"""
OPENMP = """
static __thread int threads = 7;
void omp_set_num_threads(int n) { threads = n; }
int omp_get_max_threads(void) { return threads; }
"""


def blas(prefix="openblas", suffix=""):
    return BLAS.replace("PREFIX", prefix).replace("SUFFIX", suffix)


LIBRARIES = {
    "openblas": ("libopenblas.so.0", blas(), "openblas_get_num_threads", "OPENBLAS_NUM_THREADS"),
    "numpy's": (
        "libscipy_openblas64_-e4e3e3bd.so",
        blas("scipy_openblas", "64_"),
        "scipy_openblas_get_num_threads64_",
        "OPENBLAS_NUM_THREADS",
    ),
    "scipy's": (
        "libscipy_openblas-6cdc3b4a.so",
        blas("scipy_openblas"),
        "scipy_openblas_get_num_threads",
        "OMP_NUM_THREADS",
    ),
    "another suffix": ("libopenblasp-r0.so", blas(suffix="_64"), "openblas_get_num_threads_64", "GOTO_NUM_THREADS"),
    "mkl": ("libmkl_rt.so.2", MKL, "MKL_Get_Max_Threads", "MKL_NUM_THREADS"),
    "gomp": ("libgomp-a34b3233.so.1.0.0", OPENMP, "omp_get_max_threads", "OMP_NUM_THREADS"),
    "libomp": ("libomp.so.5", OPENMP, "omp_get_max_threads", "OMP_NUM_THREADS"),
    "intel's": ("libiomp5.so", OPENMP, "omp_get_max_threads", "OMP_NUM_THREADS"),
}

# Beside the program: the library, and what loads it and asks it.
LOADER = """
    import ctypes, os, sys

    library = ctypes.CDLL(os.path.join(os.path.dirname(os.path.abspath(__file__)), {file!r}))

    def threads():
        return library.{get}()
"""


@pytest.fixture(params=LIBRARIES)
def library(request, tmp_path, write):
    """Build the library and write loader.py beside the program."""
    file, source, get, variable = LIBRARIES[request.param]
    compiler = shutil.which("cc")
    assert compiler, "the tests need a C compiler"
    (tmp_path / "library.c").write_text(source)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", tmp_path / file, tmp_path / "library.c"], check=True)
    write(LOADER.format(file=file, get=get), "loader.py")
    return request.param, get, variable


def test_a_library_that_is_there_before_run_has_one_thread_in_it_and_its_own_number_again_after_it(succeed, library):
    out = succeed("""
        import loader, smarm

        if __name__ == "__main__":
            print(loader.threads(), smarm.run(loader.threads, workers=2), loader.threads())
    """)
    assert out == "7 1 7\n"


LATE = """
    import smarm

    def import_late():
        import loader
        import smarm_test_frames  # an extension module: then the libraries are looked at

        return loader.threads()

    def other_thread():
        import loader

        return smarm.block_on_io(loader.threads)

    if __name__ == "__main__":

        def main():
            return [smarm.spawn(import_late, on=on).join() for on in ("main", 1)] + [other_thread()]

        print(smarm.run(main, workers={workers}))
"""


def test_a_library_that_comes_late_is_told_on_every_worker_and_in_block_on_io(succeed, library):
    assert succeed(LATE.format(workers=2)) == "[1, 1, 1]\n"


def test_the_users_variable_comes_first(succeed, library):
    assert succeed(LATE.format(workers=2), env={library[2]: "3"}) == "[7, 7, 7]\n"


def test_nothing_is_touched_with_one_worker(succeed, library):
    out = succeed("""
        import smarm

        def main():
            import loader
            import smarm_test_frames

            return loader.threads()

        if __name__ == "__main__":
            print(smarm.run(main, workers=1))
    """)
    assert out == "7\n"


def test_what_the_program_says_later_stays(succeed, library):
    _, get, _ = library
    set_threads = get.replace("get_max", "set_num").replace("get_num", "set_num").replace("Get_Max", "Set_Num")
    out = succeed(f"""
        import smarm

        def main():
            import loader
            import smarm_test_frames

            before = loader.threads()
            loader.library.{set_threads}(5)
            import _queue  # one more extension module

            smarm.spawn(import_again, on="main").join()
            return before, loader.threads()

        def import_again():
            import loader, _json

        if __name__ == "__main__":
            import loader

            print(smarm.run(main, workers=2), loader.threads())
    """)
    assert out == "(1, 5) 5\n"


def test_a_child_process_inherits_no_variable(succeed):
    out = succeed("""
        import os, smarm

        def main():
            import smarm_test_frames

            return dict(os.environ) == before

        if __name__ == "__main__":
            before = dict(os.environ)
            print(smarm.run(main, workers=2))
    """)
    assert out == "True\n"


@pytest.mark.skipif(not importlib.util.find_spec("numpy"), reason="numpy is not installed")
def test_numpys_own_library_has_one_thread_beside_other_workers(succeed):
    program = """
        import ctypes, smarm

        def threads():
            paths = {line.split()[-1] for line in open("/proc/self/maps") if "openblas" in line}
            return [ctypes.CDLL(path).scipy_openblas_get_num_threads64_() for path in paths if "64_" in path]

        def main():
            import numpy

            assert abs(numpy.linalg.det(numpy.eye(3)) - 1) < 1e-9
            return threads()

        if __name__ == "__main__":
            print(smarm.run(main, workers=WORKERS))
    """
    assert succeed(program.replace("WORKERS", "2")) == "[1]\n"
    untouched = succeed(program.replace("WORKERS", "1"))
    assert untouched == f"[{len(os.sched_getaffinity(0))}]\n"
    assert succeed(program.replace("WORKERS", "2"), env={"OPENBLAS_NUM_THREADS": "2"}) == "[2]\n"
