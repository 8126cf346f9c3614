"""Real packages on a worker without private copies: the exception that the program catches says what to do."""

import pytest

PROGRAM = """
    import warnings
    import smarm

    def work():
        warnings.simplefilter("ignore")
        try:
            {code}
        except Exception as error:
            return type(error).__name__, str(error), error.__notes__

    if __name__ == "__main__":
        kind, text, notes = smarm.run(lambda: smarm.spawn(work, on=1).join(), workers=2, extensions="main")
        print(kind)
        for said in (text, *notes):
            assert 'run with extensions="private", or spawn the actor with on="main"' in said, said
        assert len(notes) == 1, notes
"""


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        pytest.param("import numpy", "ImportError", marks=pytest.mark.packages("numpy")),
        pytest.param("import pandas", "ImportError", marks=pytest.mark.packages("pandas")),
        pytest.param("import scipy.linalg", "ImportError", marks=pytest.mark.packages("scipy")),
        pytest.param("import sklearn", "ImportError", marks=pytest.mark.packages("sklearn")),
        pytest.param("import polars; polars.DataFrame({'a': [1]})", "NameError", marks=pytest.mark.packages("polars")),
        pytest.param("import polars; polars.Series([1])", "NameError", marks=pytest.mark.packages("polars")),
        pytest.param("import polars; polars.col('a') + 1", "NameError", marks=pytest.mark.packages("polars")),
    ],
)
def test_the_exception_says_what_to_do(succeed, code, kind):
    assert succeed(PROGRAM.replace("{code}", code)) == f"{kind}\n"
