"""Extension modules whose initialisation fails are an ImportError wherever they are imported."""

import sys

import pytest

PROGRAM = """
    import smarm

    def work():
        errors = set()
        for _ in range(1000):
            try:
                import smarm_test_refuses
            except ImportError as error:
                errors.add((type(error).__name__, str(error)))
        return errors

    if __name__ == "__main__":
        print(smarm.run(lambda: smarm.spawn(work, on={on}).join(), workers=2))
"""
EXPECTED = "{('ImportError', 'smarm_test_refuses refuses, for reason 7')}\n"


def test_on_the_main_lane(succeed):
    assert succeed(PROGRAM.format(on='"main"')) == EXPECTED


def test_on_a_worker(succeed):
    assert succeed(PROGRAM.format(on=1)) == EXPECTED


def test_a_hook_of_the_program_is_told(run_app):
    """CPython gives it to whoever has replaced sys.unraisablehook; 3.13 raises it."""
    hook = "import sys\n    sys.unraisablehook = lambda given: print('hook', type(given.exc_value).__name__)\n    import smarm"
    result = run_app(PROGRAM.replace("import smarm", hook, 1).replace("range(1000)", "range(1)").format(on=1))
    assert (result.code, result.err) == (0, "")
    if sys.version_info >= (3, 14):
        assert result.out.startswith("hook ImportError")
    else:
        assert result.out == EXPECTED


@pytest.mark.parametrize("on", ["0", "1"])
def test_a_file_that_is_no_library_is_named(run_app, tmp_path, on):
    (tmp_path / "nothing.abi3.so").write_bytes(b"no library")
    result = run_app(f"""
        import smarm

        def work():
            try:
                import nothing
            except ImportError as error:
                return error.name, error.path.endswith("nothing.abi3.so"), str(error).endswith(("invalid ELF header", "file too short"))

        if __name__ == "__main__":
            print(smarm.run(lambda: smarm.spawn(work, on={on}).join(), workers=2))
    """)
    assert (result.code, result.out, result.err) == (0, "('nothing', True, True)\n", "")
