"""Extension modules that refuse subinterpreters run on every worker, from private copies: same results as in plain Python."""

import pytest

# What the function returns on the main worker and on two others at once.
EVERYWHERE = """
    import smarm

    def work():
        {body}

    def together(number):
        return smarm.spawn(work, on=number)

    if __name__ == "__main__":
        results = smarm.run(lambda: smarm.join_all([together(number) for number in (0, 1, 2)]), workers=3, extensions="private")
        assert results[0] == results[1] == results[2], results
        print(results[0])
"""


def everywhere(body):
    return EVERYWHERE.format(body=body.replace("\n", "\n        "))


def test_numpy_computes_the_same_on_every_worker(succeed):
    out = succeed(
        everywhere("""
import numpy as np
a = np.arange(2000.0)
b = np.random.default_rng(7).normal(size=(50, 50))
objects = np.sort(np.array([f"x{i}" for i in range(50)], dtype=object))[::-1]
try:
    np.zeros(3) + np.zeros(4)
except ValueError as error:
    text = str(error)
return float((np.sin(a) * a).sum()), round(float(np.linalg.norm(b @ b.T)), 6), objects.tolist()[:2], text
""")
    )
    assert out.startswith("(")


def test_numpy_is_the_file_that_is_installed(succeed):
    out = succeed(
        everywhere("""
import importlib.resources, pickle, numpy, numpy._core._multiarray_umath as core
assert pickle.loads(pickle.dumps(numpy.add)) is numpy.add
assert importlib.resources.files("numpy").joinpath("version.py").is_file()
return core.__file__, core.__spec__.origin, core.__loader__.path, core.__name__
""")
    )
    names = eval(out)
    assert len(set(names[:3])) == 1
    assert "site-packages/numpy/_core/" in names[0]
    assert names[3] == "numpy._core._multiarray_umath"


def test_arrays_travel_between_workers(succeed):
    assert (
        succeed("""
        import smarm

        def double(array):
            return array * 2

        def main():
            import numpy as np
            array = np.arange(1_000_000.0)
            got = [smarm.spawn(double, array, on=number).join() for number in (1, 2)]
            return all(np.array_equal(one, array * 2) for one in got)

        if __name__ == "__main__":
            print(smarm.run(main, workers=3, extensions="private"))
    """)
        == "True\n"
    )


REFUSES = """
    import smarm

    def work():
        import traceback
        errors = set()
        for _ in range(1000):
            try:
                import smarm_test_refuses
            except ImportError as error:
                names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
                errors.add((type(error).__name__, str(error), "open_module" in names))
        return errors

    if __name__ == "__main__":
        print(smarm.run(lambda: smarm.spawn(work, on=1).join(), workers=2, extensions="private"))
"""


def test_a_module_that_fails_says_why_a_thousand_times(succeed):
    assert succeed(REFUSES) == "{('ImportError', 'smarm_test_refuses refuses, for reason 7', False)}\n"


def test_the_default_is_main(run_app):
    result = run_app("""
        import smarm

        def work():
            import numpy

        if __name__ == "__main__":
            smarm.run(lambda: smarm.spawn(work, on=1).join(), workers=2)
    """)
    assert result.code == 1
    assert "ImportError" in result.err


def test_the_variable_says_private(succeed):
    program = """
        import smarm

        def work():
            import numpy
            return numpy.arange(4).sum().item()

        if __name__ == "__main__":
            print(smarm.run(lambda: smarm.spawn(work, on=1).join(), workers=2))
    """
    assert succeed(program, env={"SMARM_EXTENSIONS": "private"}) == "6\n"


@pytest.mark.parametrize("value", ["both", 1, True, ["main"]])
def test_another_word_is_refused(value):
    import smarm

    with pytest.raises(smarm.ConfigError, match="extensions must be 'main' or 'private'"):
        smarm.Runtime(extensions=value)
