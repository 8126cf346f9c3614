"""Where an extension module is found, what it is called and what is said of it: with a private copy as without one."""

from __future__ import annotations

import importlib.util
import pathlib
import shutil
import textwrap
import zipfile

import pytest

PROGRAM = """
import smarm
{top}

def work():
{body}

if __name__ == "__main__":
    print(repr(smarm.run(lambda: smarm.spawn(work, on={on}).join(), workers=2, extensions="private"{options})))
"""


@pytest.fixture
def on_worker(run_app, tmp_path):
    """Run this body on a worker with private copies (on=0: in the main interpreter); return how the program ended."""

    def on_worker(body, *, on=1, options="", top="pass", env=None):
        text = PROGRAM.format(
            top=textwrap.dedent(top), body=textwrap.indent(textwrap.dedent(body), "    "), on=on, options=options
        )
        return run_app(text, env={"SMARM_EXTENSION_CACHE": str(tmp_path / "copies")} | (env or {}))

    return on_worker


@pytest.fixture
def answer(on_worker):
    """Return what this body returns on a worker with private copies."""

    def answer(body, **more):
        result = on_worker(body, **more)
        assert (result.code, result.err) == (0, ""), result.err
        return eval(result.out)

    return answer


@pytest.fixture
def file() -> pathlib.Path:
    return pathlib.Path(importlib.util.find_spec("smarm_test_single_zero").origin)


@pytest.fixture
def place(request, tmp_path, file):
    """Put the module somewhere; return the lines that let it be found, its name and the path by which it is known."""
    name = "smarm_test_single_zero"
    match request.param:
        case "beside the script":
            target = tmp_path / file.name
            lines = ""
        case "a package":
            (tmp_path / "package").mkdir()
            (tmp_path / "package" / "__init__.py").touch()
            target = tmp_path / "package" / file.name
            name, lines = f"package.{name}", ""
        case "a namespace package":
            target = tmp_path / "elsewhere" / "space" / file.name
            name, lines = f"space.{name}", "import sys; sys.path.append('elsewhere')"
        case "a link":
            target = tmp_path / file.name
            target.symlink_to(file)
            lines = ""
        case "an editable install":  # a finder that knows where it is
            target = tmp_path / "build" / file.name
            lines = f"""
                import importlib.util, sys
                class Finder:
                    def find_spec(name, path=None, target=None):
                        if name == {name!r}:
                            return importlib.util.spec_from_file_location(name, {str(target)!r})
                sys.meta_path.insert(0, Finder)
            """
        case "another suffix":
            target = tmp_path / f"{name}.so"
            lines = ""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        shutil.copy(file, target)
    return textwrap.dedent(lines), name, str(target)


PLACES = ["beside the script", "a package", "a namespace package", "a link", "an editable install", "another suffix"]
FACTS = """
    import importlib, importlib.resources, pickle, sys
    module = importlib.import_module({name!r})
    assert pickle.loads(pickle.dumps(module.fail)) is module.fail
    again = importlib.reload(module)
    return (
        module.__file__, module.__name__, module.__package__, module.__spec__.name, module.__spec__.origin,
        module.__spec__.has_location, type(module.__loader__).__name__, module.__loader__.path, repr(module),
        module.Thing.__module__, module.fail.__module__, again is module,
        sys.modules[{name!r}] is module, module.is_at_home(), module.is_found(),
        importlib.resources.files(module.__package__).name if module.__package__ else None,
    )
"""


@pytest.mark.parametrize("place", PLACES, indirect=True)
def test_it_is_found_and_called_as_without_a_copy(place, answer):
    lines, name, path = place
    body = textwrap.dedent(lines) + "\n" + textwrap.dedent(FACTS.format(name=name))
    facts = answer(body)
    assert facts[0] == path
    assert facts[-3:-1] == (True, True)  # it was initialised by this interpreter, which finds it
    assert facts == answer(body, on=0)


def test_a_zipped_egg(answer, tmp_path, file):
    """An egg unpacks its modules with native code and loads them from there: here into the folder unpacked."""
    with zipfile.ZipFile(tmp_path / "egg.zip", "w") as egg:
        egg.write(file, f"egg_package/{file.name}")
        egg.writestr("egg_package/__init__.py", "")
        egg.writestr(
            "egg_package/smarm_test_single_zero.py",
            textwrap.dedent(f"""
                import importlib.machinery, importlib.util, os, sys
                def __bootstrap__():
                    os.makedirs("unpacked", exist_ok=True)
                    path = os.path.abspath("unpacked/{file.name}")
                    whole = f"{{path}}.{{os.getpid()}}.{{id(sys.modules)}}"
                    with open(whole, "wb") as unpacked:
                        unpacked.write(__loader__.get_data(os.path.join(os.path.dirname(__file__), "{file.name}")))
                    if not os.path.exists(path):
                        os.rename(whole, path)
                    loader = importlib.machinery.ExtensionFileLoader(__name__, path)
                    spec = importlib.util.spec_from_file_location(__name__, path, loader=loader)
                    sys.modules[__name__] = module = importlib.util.module_from_spec(spec)
                    loader.exec_module(module)
                __bootstrap__()
            """),
        )
    body = """
        import sys
        sys.path.insert(0, "egg.zip")
        import egg_package
        from egg_package import smarm_test_single_zero as module
        assert egg_package.__file__.endswith("egg.zip/egg_package/__init__.py")
        return module.__file__, module.__name__, module.Thing.__module__, module.is_at_home(), module.times_initialised()
    """
    facts = answer(body)
    assert facts[0] == str(tmp_path / "unpacked" / file.name)
    assert facts[3:] == (True, 1)
    assert facts == answer(body, on=0)


def test_the_second_import_of_a_module_that_initialises_itself_once(answer):
    body = """
        import sys
        import smarm_test_single_global as first
        first.added = 1
        del sys.modules["smarm_test_single_global"]
        import smarm_test_single_global as second
        return first is second, hasattr(second, "added"), second.Thing is first.Thing, second.times_initialised()
    """
    assert answer(body) == answer(body, on=0) == (False, False, True, 1)


def test_the_second_import_of_one_that_can_again(answer):
    body = """
        import sys
        import smarm_test_single_zero as first
        del sys.modules["smarm_test_single_zero"]
        import smarm_test_single_zero as second
        return first is second, second.times_initialised()
    """
    assert answer(body) == answer(body, on=0)


def test_a_traceback_has_no_frames_of_the_loader(on_worker):
    result = on_worker("import smarm_test_refuses")
    assert result.code == 1
    assert "ImportError: smarm_test_refuses refuses, for reason 7" in result.err
    assert "extensions" not in result.err.partition("Traceback in the failed actor")[2].partition("ImportError")[0]


def test_audit_hooks_see_the_file(answer):
    body = """
        import sys
        seen = []
        sys.addaudithook(lambda event, arguments: event == "import" and seen.append(arguments[:2]))
        import smarm_test_single_zero as module
        return [file == module.__file__ for name, file in seen if name == "smarm_test_single_zero" and file]
    """
    assert answer(body) == answer(body, on=0) == [True]


def test_a_module_without_its_function(answer, file, tmp_path):
    shutil.copy(file, tmp_path / "other.so")
    body = """
        try:
            import other
        except ImportError as error:
            return str(error).partition(" (")[0], error.name, error.path
    """
    assert answer(body) == answer(body, on=0)
    assert answer(body)[1:] == ("other", str(tmp_path / "other.so"))


def test_a_library_that_is_missing_is_named(answer, tmp_path):
    bundled = pathlib.Path(importlib.util.find_spec("smarm_test_bundled").origin)
    shutil.copy(bundled, tmp_path / bundled.name)  # without the folder beside it
    body = """
        try:
            import smarm_test_bundled
        except ImportError as error:
            return str(error), error.name, error.path
    """
    text, name, path = answer(body)
    assert text.startswith("libsmarm_test_")
    assert "cannot open shared object file" in text
    assert (name, path) == ("smarm_test_bundled", str(tmp_path / bundled.name))


def test_a_load_that_failed_is_tried_anew(answer, file, tmp_path):
    """The file is damaged, then whole: nothing of the first attempt is left."""
    target = tmp_path / file.name
    target.write_bytes(file.read_bytes()[:5000])
    assert answer(f"""
        import pathlib, shutil
        try:
            import smarm_test_single_zero
        except ImportError as error:
            failed = str(error)
        shutil.copy({str(file)!r}, {str(target)!r} + ".new")
        pathlib.Path({str(target)!r} + ".new").rename({str(target)!r})
        import smarm_test_single_zero
        return "file too short" in failed, smarm_test_single_zero.__file__ == {str(target)!r}
    """) == (True, True)  # fmt: skip


@pytest.mark.unsanitized(reason="RTLD_DEEPBIND is left out where malloc is replaced")
def test_what_the_main_interpreter_has_opened_for_all_is_not_taken(answer):
    """With RTLD_GLOBAL the original's variables would be found before the copy's own."""
    top = """
        import os, sys
        if __name__ == "__main__":
            sys.setdlopenflags(os.RTLD_NOW | os.RTLD_GLOBAL)
            import smarm_test_unique
            smarm_test_unique.next()
    """
    assert answer("import smarm_test_unique\nreturn smarm_test_unique.next()", top=top) == 1001


def test_variables_of_the_c_library_are_the_programs(answer):
    """Also where a program that is not position-independent has them, as Debian's python3."""
    assert answer("""
        import os, smarm_test_threads
        os.environ["ADDED_BY_THE_TEST"] = "1"
        return smarm_test_threads.count_environment() == len(os.environ)
    """)


def test_code_is_mapped_from_the_original(answer, tmp_path):
    """So that all workers have it in one place of the page cache."""
    lines = answer("""
        import smarm_test_single_zero
        with open("/proc/self/maps") as maps:
            return [line.split()[1::4] for line in maps if "smarm_test_single_zero" in line]
    """)
    code = [path for protection, path in lines if protection == "r-xp"]
    data = [path for protection, path in lines if protection == "rw-p"]
    assert code
    assert data
    assert not any(path.startswith(str(tmp_path)) for path in code)
    assert all(path.startswith(str(tmp_path)) for path in data)


def test_copies_in_memory_work_as_well(answer):
    assert answer(
        "import smarm_test_bundled as module, smarm_test_single_zero as other\nreturn module.next(), other.is_at_home()",
        env={"SMARM_EXTENSION_CACHE": "/proc/nothing"},
    ) == (1001, True)


def test_main_only_modules_say_so(answer):
    text = answer(
        """
            try:
                import smarm_test_single_zero
            except ImportError as error:
                return str(error)
        """,
        options=", extensions_main_only=['smarm_test_single_zero']",
    )
    assert "stays with the main interpreter" in text
    assert 'on="main"' in text


def test_a_library_for_ctypes_is_private_when_it_is_named(answer):
    body = """
        import ctypes, pathlib, smarm
        folder = pathlib.Path(__import__("smarm_test_frames").__file__).parent / "smarm_test_bundled.libs"
        def count():
            return ctypes.CDLL(str(next(folder.glob("*base*")))).smarm_test_base_next()
        return count(), count()
    """
    top = """
        import ctypes, pathlib
        if __name__ == "__main__":
            folder = pathlib.Path(__import__("smarm_test_frames").__file__).parent / "smarm_test_bundled.libs"
            kept = ctypes.CDLL(str(next(folder.glob("*base*"))))
            kept.smarm_test_base_next()
    """
    assert answer(body, top=top) == (2, 3)
    assert answer(body, top=top, options=", extensions_private_libraries='libsmarm_test_base'") == (1, 2)


def test_faulthandler_can_be_imported(answer):
    assert answer("""
        import faulthandler, os
        faulthandler.enable()
        read, write = os.pipe()
        faulthandler.dump_traceback(write)
        text = os.read(read, 10000).decode()
        try:
            faulthandler.register(10)
        except RuntimeError as error:
            refusal = str(error)
        return faulthandler.is_enabled(), " in work" in text, 'on="main"' in refusal
    """) == (False, True, True)


def test_names_that_are_not_ascii(answer, tmp_path):
    """Such a module's function has its name in Punycode: here it has none, and the name is in the error."""
    shutil.copy(pathlib.Path(importlib.util.find_spec("smarm_test_single_zero").origin), tmp_path / "größe.so")
    body = """
        try:
            import größe
        except ImportError as error:
            return error.name, "PyInitU_gre" in str(error)
    """
    assert answer(body) == ("größe", True)
