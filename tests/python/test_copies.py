"""copy and dataclasses.asdict of what names something: the object itself."""

from __future__ import annotations

import copy
import dataclasses

import smarm


def test_names_are_copied_as_themselves(alone):
    def main():
        sender, receiver = smarm.channel()
        ended = smarm.spawn(lambda: None)
        ref = smarm.monitor(ended.pid)

        @dataclasses.dataclass
        class Holder:
            things: list[object]

        things = [smarm.self(), sender, receiver, ref]
        for thing in things:
            assert copy.copy(thing) is thing
            assert copy.deepcopy(thing) is thing
        assert all(a is b for a, b in zip(dataclasses.asdict(Holder(things))["things"], things, strict=True))
        ended.join()
        smarm.demonitor(ref)

    alone(main)
