"""Counts damaged sessions by the ten thousand with and without compiled code: nothing may differ.

    python -m tests.twins [--cases 100000] [--seed 1] [--jobs 2]

A case is some lines of a recorded session, damaged in a few places (see :mod:`tests.odd_json`). A seed gives
the same cases every time. The exit code is 1 if one differs; its bytes are shown.
"""

from __future__ import annotations

import random
import re
import struct
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from importer.build.estimate import Bases, Estimator
from importer.plan.column_writer import ColumnWriter
from importer.plan.compiled_writer import CompiledWriter
from parsers.counting.lazy import JsonContent, LazyBlock
from parsers.counting.rows import CountedFiles
from parsers.counting.session import CountingSession
from parsers.records import AnyRecord
from tests import cases, odd_json
from tests.fuzz import sources

ESTIMATORS = (Estimator(Bases(900, 700, 800), 300), Estimator(Bases(900, 700, 800), 300, private=True))
WINDOW_MS = 60_000
_PLAIN = re.compile(rb'"role": ?"(?:assistant|toolResult)"')
_ONLY_COMPILED = {"_plain", "_unseen"}


class DifferError(AssertionError):
    """A case that is counted in two ways."""


class Recorder:
    """Takes figures as they are told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.straight = 0

    def records(self, records: Sequence[AnyRecord]) -> None:
        self.told += [shape(record, {}) for record in records]

    def call(self, *figures: Any) -> int:
        *rest, cost_usd, prompt, length, given = figures
        self.told.append(("call", *rest, struct.pack("<d", cost_usd), prompt, length, shape(given, {})))
        self.straight += 1
        return len(self.told)

    def span(self, *figures: Any) -> None:
        self.told.append(("span", *figures))
        self.straight += 1


def shape(value: Any, known: dict[int, tuple[int, Any]]) -> Any:
    """A value as tuples that are equal where all is equal, down to what is the same object."""
    if value is None or isinstance(value, (str, int, float, bytes)):
        return (type(value).__name__, value)
    if isinstance(value, msgspec.Raw):
        return bytes(value)
    if isinstance(value, JsonContent):
        value = msgspec.json.decode(value.json, type=list[LazyBlock])
    if isinstance(value, (set, frozenset)):
        return frozenset(shape(each, known) for each in value)
    if isinstance(value, (list, tuple)):
        if value and all(type(each) is int for each in value):
            return tuple(value)
        return tuple(shape(each, known) for each in value)
    if isinstance(value, dict):
        return tuple((shape(key, known), shape(each, known)) for key, each in value.items())
    if isinstance(value, type):
        return value.__name__
    if id(value) in known:
        return ("again", known[id(value)][0])
    known[id(value)] = (len(known), value)
    if isinstance(value, msgspec.Struct):
        fields = ((name, getattr(value, name)) for name in value.__struct_fields__)
    elif hasattr(value, "__dict__"):
        fields = ((name, each) for name, each in vars(value).items() if name not in _ONLY_COMPILED)
    else:
        return type(value).__name__
    return (type(value).__name__, *((name, shape(each, known)) for name, each in fields))


def state(session: CountingSession) -> Any:
    """All that a session knows."""
    session._see()
    return shape(session, {})


def case(chance: random.Random, files: list[list[bytes]]) -> list[bytes]:
    """The first lines of a session, some of its messages damaged."""
    lines = chance.choice(files)[: chance.randrange(4, 25)]
    plain = [at for at, line in enumerate(lines) if _PLAIN.search(line)]
    for _ in range(chance.randrange(1, 4)):
        at = chance.choice(plain) if plain and chance.random() < 0.9 else chance.randrange(len(lines))
        lines[at] = odd_json.damaged(chance, lines[at])
    if chance.random() < 0.2:
        at = chance.randrange(len(lines))
        lines.insert(chance.randrange(1, len(lines) + 1), lines[at])
    return lines


def check(lines: list[bytes], number: int = 0) -> int:
    """Count a case in both ways; raises where they differ, returns how many events had no record."""
    chance = random.Random(number)
    data = b"\n".join([*lines, b""][: None if chance.random() < 0.9 else -1])
    whole = data.splitlines(keepends=True) if b"\r" not in data else [data]
    blocks = ([data], whole, _split(chance, data))[number % 3]
    grouping: Any = ("message", "session")[number // 3 % 2]
    sessions = [CountingSession(grouping, WINDOW_MS, 300) for _ in range(4)]
    recorders = Recorder(), Recorder()
    for compiled, recorder, session in zip((False, True), recorders, sessions, strict=False):
        session.count(blocks, recorder, compiled=compiled)
    _same(recorders[0].told, recorders[1].told, "figures")
    _same(*map(state, sessions[:2]), "state")
    _same(*([shape(record, {}) for record in each.finish(10**14)] for each in sessions[:2]), "end")
    columns = CountedFiles(), CountedFiles()
    estimator = ESTIMATORS[number // 6 % 2]
    sessions[2].count(blocks, ColumnWriter(columns[0], {"": 0}, estimator), compiled=False)
    sessions[3].count(blocks, CompiledWriter(columns[1], {"": 0}, estimator), compiled=True)
    _same(*columns, "columns")
    return recorders[1].straight


def _split(chance: random.Random, data: bytes) -> list[bytes]:
    """A file in blocks of whole lines."""
    blocks, at = [], 0
    while at < len(data):
        end = data.find(b"\n", at + chance.randrange(5000)) + 1 or len(data)
        blocks.append(data[at:end])
        at = end
    return blocks


def _same(one: Any, other: Any, what: str) -> None:
    if one != other:
        raise DifferError(f"{what} differ:\n{one}\n{other}")


def run(seed: int, start: int, count: int) -> tuple[int, cases.Failed]:
    """Check some cases: how many events had no record; and of those that failed number, fault and bytes."""
    files = [lines for lines in sources() if any(map(_PLAIN.search, lines[:25]))]
    return cases.checked(seed, range(start, start + count), lambda chance: case(chance, files), check)


if __name__ == "__main__":
    sys.exit(cases.main(run, __doc__, "events without a record"))
