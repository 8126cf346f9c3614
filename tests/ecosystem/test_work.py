"""What others make of smarm.Executor and smarm.map: joblib, scikit-learn, dask; bars of rich and tqdm; arrays of numpy."""

import pytest

JOBLIB = """
    import smarm

    def square(number):
        return number * number

    def fail(number):
        raise KeyError(number)

    def work():
        from joblib import Parallel, delayed, parallel_config
        with parallel_config(backend="smarm", n_jobs=-1):
            assert Parallel()(delayed(square)(number) for number in range(500)) == [number * number for number in range(500)]
            assert Parallel()(delayed(lambda number: number + 1)(number) for number in range(3)) == [1, 2, 3]
            assert list(Parallel(return_as="generator")(delayed(square)(number) for number in range(9)))[-1] == 64
            assert sorted(Parallel(return_as="generator_unordered")(delayed(square)(number) for number in range(3))) == [0, 1, 4]
            try:
                Parallel()(delayed(fail)(number) for number in range(9))
            except KeyError as error:
                assert "in fail" in str(error.__cause__)
            else:
                raise AssertionError("no failure")
            assert Parallel(n_jobs=1)(delayed(square)(number) for number in range(3)) == [0, 1, 4]
        print("right")

    if __name__ == "__main__":
        from smarm.joblib import register_smarm
        register_smarm()
        {end}
"""


@pytest.mark.packages("joblib")
@pytest.mark.parametrize("end", ["work()", "smarm.run(work, workers=2)"])
def test_joblib_runs_its_calls_in_it(succeed, end):
    assert succeed(JOBLIB.format(end=end)) == "right\n"


DASK = """
    import operator
    import smarm

    def increment(number):
        return number + 1

    def work():
        import dask
        import dask.bag
        import dask.threaded
        with smarm.Executor() as executor:
            graph = {{"a": 1, "b": (increment, "a"), "c": (operator.add, "a", "b")}}
            assert dask.threaded.get(graph, ["b", "c"], pool=executor) == (2, 3)
            with dask.config.set(pool=executor, scheduler="threads"):
                assert dask.compute(sum(dask.delayed(increment)(number) for number in range(50))) == (1275,)
                assert dask.delayed(sum)([dask.delayed(lambda number: 2 * number)(n) for n in range(5)]).compute() == 20
                assert dask.bag.from_sequence(range(100), npartitions=8).map(increment).sum().compute() == 5050
        print("right")

    if __name__ == "__main__":
        {end}
"""


@pytest.mark.packages("dask")
@pytest.mark.parametrize("end", ["work()", "smarm.run(work, workers=2)"])
def test_dasks_threaded_scheduler_takes_it_for_its_pool(succeed, end):
    assert succeed(DASK.format(end=end)) == "right\n"


@pytest.mark.packages("joblib", "sklearn")
@pytest.mark.parametrize("end", ["work()", "smarm.run(work, workers=2)"])
def test_scikit_learns_n_jobs_go_through_it(succeed, end):
    text = """
        import smarm

        def work():
            from joblib import parallel_config
            from sklearn.datasets import make_classification
            from sklearn.linear_model import LogisticRegression
            from sklearn.model_selection import GridSearchCV, cross_val_score

            X, y = make_classification(200, random_state=0)
            expected = cross_val_score(LogisticRegression(), X, y)
            with parallel_config(backend="smarm"):
                assert (cross_val_score(LogisticRegression(), X, y, n_jobs=2) == expected).all()
                search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0, 10.0]}, n_jobs=2).fit(X, y)
            assert search.best_params_["C"] in (0.1, 1.0, 10.0)
            print("right")

        if __name__ == "__main__":
            from smarm.joblib import register_smarm
            register_smarm()
            {end}
    """.replace("{end}", end)
    assert succeed(text, SMARM_EXTENSIONS="private") == "right\n"


@pytest.mark.packages("numpy")
@pytest.mark.parametrize("end", ["work()", "smarm.run(work, workers=2)"])
def test_arrays_of_numpy_go_to_workers_and_come_back(succeed, end):
    text = """
        import numpy as np
        import smarm

        def double(array):
            return array * 2

        def work():
            arrays = [np.full((256, 512), number, dtype=np.float64) for number in range(20)]
            for array, result in zip(arrays, smarm.map(double, arrays), strict=True):
                assert (result == array * 2).all()
            with smarm.Executor() as executor:
                assert executor.submit(lambda a: float(a.sum()), arrays[1]).result() == 256 * 512
            print("right")

        if __name__ == "__main__":
            {end}
    """.replace("{end}", end)
    assert succeed(text, SMARM_EXTENSIONS="private") == "right\n"


BAR = """
    import sys
    {hide}
    import smarm

    def square(number):
        return number * number

    if __name__ == "__main__":
        print(sum(smarm.map(square, range(1000), progress=True)))
"""


@pytest.mark.packages("rich", "tqdm")
@pytest.mark.parametrize(("hide", "sign"), [("", "1000/1000"), ('sys.modules["rich"] = None', "1000/1000")])
def test_bars_of_rich_and_of_tqdm_show_how_far_it_is(tmp_path, hide, sign):
    import subprocess
    import sys
    import textwrap

    app = tmp_path / "app.py"
    app.write_text(textwrap.dedent(BAR).replace("{hide}", hide))
    done = subprocess.run([sys.executable, app], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "332833500\n")
    assert sign in done.stderr


@pytest.mark.packages("PIL")
def test_thumbnails_of_pillow_are_made_in_private_copies(succeed):
    text = """
        import smarm

        def shrink(number):
            from PIL import Image
            picture = Image.new("RGB", (320 + number, 240), (number, 0, 0))
            picture.thumbnail((64, 64))
            return picture.size, picture.getpixel((0, 0))

        if __name__ == "__main__":
            results = list(smarm.map(shrink, range(20)))
            print(all(max(size) == 64 for size, _ in results), [pixel[0] for _, pixel in results] == list(range(20)))
    """
    assert succeed(text, SMARM_EXTENSIONS="private") == "True True\n"


CELLS = [
    "import smarm\ndef f(x): return x + k\nk = 1\nprint(list(smarm.map(f, range(4))))",
    "with smarm.Executor() as executor: print(executor.submit(lambda: f(41)).result())",
    "import asyncio\nexecutor = smarm.Executor()\n"
    "print(await asyncio.get_running_loop().run_in_executor(executor, f, 1))\nexecutor.shutdown()",
]


@pytest.mark.packages("nbclient", "ipykernel")
def test_functions_of_a_notebook_go_to_workers():
    import nbclient
    import nbformat

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    printed = [
        "".join(output["text"] for output in cell.outputs if output.get("name") == "stdout") for cell in notebook.cells
    ]
    assert printed == ["[1, 2, 3, 4]\n", "42\n", "2\n"]
