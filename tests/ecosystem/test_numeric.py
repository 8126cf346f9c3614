"""numpy, scipy, pandas and scikit-learn in actors with default stacks, many others alive beside: right results, no crash."""

import pytest

# {imports} are where the test wants them: in the actor, at the top of the script, or before run.
PROGRAM = """
    import smarm
    {top}

    def parked(n):
        kept = [n] * 20
        smarm.receive()
        assert kept == [n] * 20
        return n

    def work(size):
        {inside}
{body}

    def main():
        beside = [smarm.spawn(parked, n, on="main") for n in range(200)]
        for size in {sizes}:
            handles = [smarm.spawn(work, size, on="main") for _ in range({actors})]
            beside += [smarm.spawn(parked, n, on="main") for n in range(len(beside), len(beside) + 20)]
            smarm.join_all(handles)
        for handle in beside:
            smarm.send(handle.pid, None)
        assert smarm.join_all(beside) == list(range(len(beside)))
        return "right"

    if __name__ == "__main__":
        {before}
        print(smarm.run(main{options}))
"""

PLACES = ["inside", "top", "before"]


def program(imports, body, sizes, place, options="", actors=3):
    places = dict.fromkeys(PLACES, "pass") | {"inside": imports, place: imports}
    lines = "\n".join("        " + line for line in body.strip("\n").splitlines())
    return PROGRAM.format(body=lines, sizes=sizes, options=options, actors=actors, **places)


LINEAR = {
    "inv": "assert np.allclose(np.linalg.inv(a) @ a, np.eye(size), atol=1e-6)",
    "solve": "assert np.allclose(a @ np.linalg.solve(a, b), b)",
    "det": "sign, log = np.linalg.slogdet(a); assert abs(sign) == 1 and np.isfinite(log); assert np.linalg.det(a / size) != 0",
    "eig": "values, vectors = np.linalg.eig(a); assert np.allclose(a @ vectors, vectors * values)",
    "eigh": "values, vectors = np.linalg.eigh(s); assert np.allclose((vectors * values) @ vectors.T, s)",
    "svd": "u, w, v = np.linalg.svd(a); assert np.allclose((u * w) @ v, a)",
    "lstsq": "x = np.linalg.lstsq(a[:, : size // 2], b, rcond=None)[0]; assert x.shape == (size // 2,)",
    "cholesky": "c = np.linalg.cholesky(s); assert np.allclose(c @ c.T, s)",
    "qr": "q, r = np.linalg.qr(a); assert np.allclose(q @ r, a)",
    "matmul": "assert np.allclose((a @ a)[0], a[0] @ a)",
}
SCIPY = {
    "expm": "e = linalg.expm(a / size); assert np.allclose(e @ linalg.expm(-a / size), np.eye(size), atol=1e-6)",
    "inv": "assert np.allclose(linalg.inv(a) @ a, np.eye(size), atol=1e-6)",
    "solve": "assert np.allclose(a @ linalg.solve(a, b), b)",
    "det": "assert linalg.det(a) != 0",
    "eig": "values, vectors = linalg.eig(a); assert np.allclose(a @ vectors, vectors * values)",
    "svd": "u, w, v = linalg.svd(a); assert np.allclose((u * w) @ v, a)",
    "lstsq": "assert np.allclose(a @ linalg.lstsq(a, b)[0], b)",
    "cholesky": "c = linalg.cholesky(s); assert np.allclose(c.T @ c, s)",
    "schur": "t, z = linalg.schur(a); assert np.allclose(z @ t @ z.T, a)",
}
MATRICES = """
rng = np.random.default_rng(size)
a = rng.standard_normal((size, size)) + size * np.eye(size)
b = rng.standard_normal(size)
s = a @ a.T
"""
NUMPY_IMPORT = "import numpy as np"
SCIPY_IMPORT = "import numpy as np; from scipy import linalg"


@pytest.mark.packages("numpy")
@pytest.mark.parametrize("workers", ["", ", workers=1", ", workers=4"])
@pytest.mark.parametrize("function", LINEAR)
def test_numpys_linear_algebra(succeed, function, workers):
    assert succeed(program(NUMPY_IMPORT, MATRICES + LINEAR[function], (10, 100, 300), "inside", workers)) == "right\n"


@pytest.mark.packages("numpy")
@pytest.mark.parametrize("function", LINEAR)
def test_numpys_linear_algebra_of_large_matrices(succeed, function):
    assert succeed(program(NUMPY_IMPORT, MATRICES + LINEAR[function], (1000,), "inside")) == "right\n"


@pytest.mark.packages("numpy", "scipy")
@pytest.mark.parametrize("function", SCIPY)
def test_scipys_linear_algebra(succeed, function):
    assert succeed(program(SCIPY_IMPORT, MATRICES + SCIPY[function], (10, 100, 1000), "inside")) == "right\n"


@pytest.mark.packages("numpy", "scipy")
@pytest.mark.parametrize("place", PLACES)
def test_wherever_the_import_is(succeed, place):
    body = MATRICES + LINEAR["inv"] + "\n" + SCIPY["expm"]
    assert succeed(program(SCIPY_IMPORT, body, (100, 200), place)) == "right\n"


@pytest.mark.packages("numpy")
def test_with_all_threads_that_the_user_asks_for(succeed):
    body = MATRICES + LINEAR["inv"] + "\n" + LINEAR["svd"]
    text = program(NUMPY_IMPORT, body, (100, 500), "inside")
    assert succeed(text, OPENBLAS_NUM_THREADS="4") == "right\n"


@pytest.mark.packages("pandas")
@pytest.mark.parametrize("place", PLACES)
def test_pandas(succeed, place):
    body = """
frame = pd.DataFrame({"key": np.arange(size * 10) % size, "value": np.arange(size * 10, dtype=float)})
grouped = frame.groupby("key")["value"].agg(["sum", "mean", "std"])
assert grouped["sum"].sum() == frame["value"].sum()
assert list(frame.groupby("key").apply(lambda rows: len(rows), include_groups=False)) == [10] * size
joined = frame.merge(grouped, left_on="key", right_index=True)
assert len(joined) == len(frame)
assert frame.sort_values("key").rolling(7).mean().shape == frame.shape
assert pd.read_csv(io.StringIO(frame.to_csv(index=False))).equals(frame)
"""
    assert (
        succeed(program("import io; import numpy as np; import pandas as pd", body, (10, 100, 1000), place))
        == "right\n"
    )


@pytest.mark.packages("sklearn")
@pytest.mark.parametrize("place", PLACES)
def test_scikit_learn(succeed, place):
    imports = (
        "import numpy as np; from sklearn.cluster import KMeans; from sklearn.ensemble import "
        "HistGradientBoostingClassifier, RandomForestClassifier; from sklearn.linear_model import LinearRegression"
    )
    body = """
rng = np.random.default_rng(size)
points = rng.standard_normal((20 * size, 5))
label = (points[:, 0] > 0).astype(int)
assert np.allclose(LinearRegression().fit(points, points @ np.arange(5.0)).coef_, np.arange(5.0))
assert RandomForestClassifier(10, random_state=1).fit(points, label).score(points, label) > 0.9
assert HistGradientBoostingClassifier(max_iter=5).fit(points, label).score(points, label) > 0.9
assert len(set(KMeans(3, n_init=1, random_state=1).fit(points).labels_)) == 3
"""
    # One at a time: it changes the filters of warnings, which are one list for all threads of an interpreter, too.
    assert succeed(program(imports, body, (10, 50), place, actors=1)) == "right\n"


# scipy keeps the function that it calls back in a thread_local variable.
CALLED_BACK = {
    "quad": "assert abs(integrate.quad(lambda x: slowly(size * x), 0, 1)[0] - size / 2) < 1e-6",
    "odeint": "assert np.allclose(integrate.odeint(lambda y, t: slowly(size * y) / size, 1, [0, 1])[1], np.e, atol=1e-5)",
    "fsolve": "assert np.allclose(optimize.fsolve(lambda x: slowly(x) - size, 1.0), size)",
    "generic_filter": "a = np.arange(50.0); assert np.allclose(ndimage.generic_filter(a, lambda v: slowly(v[1]) + size, 3), a + size)",
}


@pytest.mark.packages("numpy", "scipy")
@pytest.mark.parametrize("function", CALLED_BACK)
def test_actors_inside_of_scipys_callbacks_do_not_meet(succeed, function):
    imports = "import numpy as np; from scipy import integrate, ndimage, optimize"
    body = f"""
def slowly(x):
    sum(range(1000))
    return x
size += smarm.self().index
for _ in range(20):
    {CALLED_BACK[function]}
"""
    assert succeed(program(imports, body, (1, 5), "inside", ", time_slice=0.0001")) == "right\n"


@pytest.mark.packages("numpy")
def test_callbacks_of_numpy_are_preempted(succeed):
    # Without a park, each waits until the other has begun.
    text = """
        import smarm

        begun = set()

        def work(me, other):
            import numpy as np

            def wait(_):
                begun.add(me)
                while other not in begun:
                    pass
                return me

            return int(np.apply_along_axis(np.vectorize(wait), 0, np.arange(3)).sum())

        if __name__ == "__main__":
            print(smarm.run(lambda: smarm.join_all([smarm.spawn(work, 1, 2, on="main"), smarm.spawn(work, 2, 1, on="main")])))
    """
    assert succeed(text) == "[3, 6]\n"


@pytest.mark.packages("numpy", "scipy", "sklearn")
def test_every_library_has_one_thread_beside_other_workers(succeed):
    text = """
        import smarm

        def main():
            import sklearn.cluster, scipy.linalg, threadpoolctl

            found = {(pool["user_api"], pool["num_threads"]) for pool in threadpoolctl.threadpool_info()}
            with threadpoolctl.threadpool_limits(2):
                pass
            return sorted(found)

        if __name__ == "__main__":
            print(smarm.run(main, workers=2))
    """
    assert succeed(text) == "[('blas', 1), ('openmp', 1)]\n"
