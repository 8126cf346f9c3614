"""register_codec: types that travel their own way."""

from __future__ import annotations

import functools
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

import smarm
from smarm import _core

roundtrip: Callable[..., Any] = _core._roundtrip


class Locked:
    """Holds what cannot be sent."""

    def __init__(self, number: Any) -> None:
        import _thread

        self.number = number
        self.lock = _thread.allocate_lock()


class Sub(Locked):
    pass


def encode_locked(locked: Locked) -> Any:
    return {"number": locked.number}


def decode_locked(parts: Any) -> Locked:
    return Locked(parts["number"])


smarm.register_codec(Locked, encode_locked, decode_locked)


def take_number(locked: Locked) -> Any:
    return locked.number


def give_back(locked: Any) -> Any:
    return locked


def test_a_registered_type_travels(on: Any) -> None:
    def main() -> None:
        assert smarm.spawn(take_number, Locked(7), on=on).join() == 7
        got = smarm.spawn(give_back, [Locked(smarm.Buffer(b"abc"))], on=on).join()
        assert bytes(got[0].number) == b"abc"

    smarm.run(main, workers=2)


def test_a_subclass_does_not() -> None:
    with pytest.raises(smarm.NotSendable, match=r"value\.lock: _thread\.lock cannot be sent"):
        roundtrip(Sub(1))


def test_the_path_leads_through_what_encode_returned() -> None:
    with pytest.raises(smarm.NotSendable, match=r"value\[0\]\['number'\]: generator cannot be sent"):
        roundtrip([Locked(iter(number for number in ()))])


def test_shared_references_stay_shared() -> None:
    locked = Locked(1)
    first, second = roundtrip([locked, locked])
    assert first is second


class Failing:
    pass


def test_what_the_functions_raise_comes_out() -> None:
    def fail(_: Any) -> Any:
        raise KeyError("why")

    smarm.register_codec(Failing, fail, Failing)
    with pytest.raises(KeyError) as caught:
        roundtrip({"a": Failing()})
    assert caught.value.__notes__ == ["while encoding value['a']"]
    smarm.register_codec(Failing, lambda _: 1, Failing)
    with pytest.raises(TypeError, match="takes no arguments"):
        roundtrip(Failing())


def test_the_last_registration_counts() -> None:
    smarm.register_codec(type=Failing, encode=lambda _: 5, decode=int)
    assert roundtrip(Failing()) == 5


@pytest.mark.parametrize("kind", [int, dict, list, type(None), smarm.Pid, smarm.Buffer, smarm.Sender])
def test_built_in_types_are_refused(kind: Any) -> None:
    with pytest.raises(TypeError, match="cannot get another codec"):
        smarm.register_codec(kind, repr, int)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match="needs a type, not 3"):
        smarm.register_codec(3, repr, int)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="encode must be callable, not 3"):
        smarm.register_codec(Sub, 3, int)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="decode must be callable, not 3"):
        smarm.register_codec(Sub, repr, 3)  # type: ignore[arg-type]
    for decode in (lambda value: value, functools.partial(int), lambda: 0):
        with pytest.raises(ValueError, match="decode must be a function or class at module level"):
            smarm.register_codec(Sub, repr, decode)

    def nested(_: Any) -> Any: ...

    with pytest.raises(ValueError, match="decode must be a function or class at module level"):
        smarm.register_codec(Sub, repr, nested)


PROGRAM = """
    import smarm

    class Handle:
        __slots__ = ("number",)
        def __init__(self, number): self.number = number
        def __reduce__(self): raise TypeError("not this way")

    def number_of(handle): return handle.number

    smarm.register_codec(Handle, number_of, Handle)

    def work(handle): return [handle, handle.number + 1]

    def main():
        handle, number = smarm.spawn(work, Handle(7), on=1).join()
        print(handle.number, number, type(handle) is Handle)

    {start}
"""


def test_types_of_a_script_travel(succeed: Callable[..., str]) -> None:
    assert succeed(PROGRAM.format(start='if __name__ == "__main__": smarm.run(main, workers=2)')) == "7 8 True\n"


def test_types_without_a_file_travel_from_where_they_are_registered(start: Callable[..., Any]) -> None:
    program = textwrap.dedent(PROGRAM.format(start="smarm.run(main, workers=2)"))
    program = program.replace("return [handle, handle.number + 1]", "return handle.number")
    program = program[: program.index("def main")] + textwrap.dedent("""
        def main():
            print(smarm.spawn(work, Handle(7), on=1).join())

        smarm.run(main, workers=2)
    """)
    result = start("-c", program).finish()
    assert (result.code, result.out, result.err) == (0, "7\n", ""), result


def test_it_is_known_by_name_only_where_objects_are_allowed() -> None:
    data = _core._encode(Locked(1))
    assert f"{__name__}:decode_locked".encode() in data
    with pytest.raises(smarm.DecodeError, match="a codec that is not registered here"):
        _core._decode(data, allow_reduce=False)  # type: ignore[call-arg]
    assert _core._decode(data, depth=500).number == 1  # type: ignore[call-arg]
    with pytest.raises(ModuleNotFoundError):
        _core._decode(data.replace(b"decode_locked", b"decode_locked").replace(__name__.encode(), b"?" * len(__name__)))
    assert __name__ in sys.modules
