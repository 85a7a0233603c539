"""Counts damaged sessions by the ten thousand with and without compiled code: nothing may differ.

    python -m tests.twins [--cases 100000] [--seed 1] [--jobs 2]

A case is some lines of a recorded session, damaged in a few places (see :mod:`tests.odd_json`). A seed gives
the same cases every time. The exit code is 1 if one differs; its bytes are shown.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from importer.build.cost import CostRules
from importer.prices import ModelPrices, Price
from importer.settings import Settings
from parsers.counting.row_writer import EventBases, RowWriter
from parsers.counting.rows import ROW, CountedFiles
from parsers.counting.session import CountingSession
from parsers.records import AnyRecord
from tests import cases, odd_json
from tests.fuzz import sources

PRICES = {("mock", "mock-1"): Price(1.0, 2.0, 0.1, 1.5)}
PRICING = CostRules(Settings(prices=ModelPrices(prices=PRICES), subscription_providers=("anthropic",)))
BASES = (EventBases(900, 700, 800, 600, 300), EventBases(900, 700, 800, 600, 300, private=True))
WINDOW_MS = 60_000
_PLAIN = re.compile(rb'"role": ?"(?:assistant|toolResult)"')
_MEMO = {"_answer", "_result"}  # what a keeper measured last


class DifferError(AssertionError):
    """A case counts differently with and without compiled code."""


def shape(value: Any, known: dict[int, tuple[int, Any]]) -> Any:
    """Turn a value into tuples that are equal where all is equal, down to what is the same object."""
    if value is None or isinstance(value, (str, int, float, bytes)):
        return (type(value).__name__, value)
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
        fields = ((name, each) for name, each in vars(value).items() if name not in _MEMO)
    else:
        return type(value).__name__
    return (type(value).__name__, *((name, shape(each, known)) for name, each in fields))


def case(chance: random.Random, files: list[list[bytes]]) -> list[bytes]:
    """Damage some messages of the first lines of a session."""
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
    """Count a case in both ways; raise where they differ, return how many lines compiled code took."""
    chance = random.Random(number)
    data = b"\n".join([*lines, b""][: None if chance.random() < 0.9 else -1])
    whole = data.splitlines(keepends=True) if b"\r" not in data else [data]
    blocks = ([data], whole, _split(chance, data))[number % 3]
    grouping: Any = ("message", "session")[number // 3 % 2]
    bases = BASES[number // 6 % 2]
    pure, compiled = (counted(blocks, grouping, bases, compiled=each) for each in (False, True))
    _same(pure.rows, compiled.rows, "rows")
    _same(shape(pure.session, {}), shape(compiled.session, {}), "state")
    _same(
        *([shape(record, {}) for record in each.session.finish(10**14)] for each in (pure, compiled)), "end"
    )
    return pure.fed - compiled.fed


class Counted(NamedTuple):
    """A session that was counted, its rows with the names of their models, and how many lines were fed."""

    session: CountingSession
    rows: list[tuple[Any, ...]]
    fed: int


def count_fed(session: CountingSession, blocks: Sequence[bytes], writer: RowWriter, *, compiled: bool) -> int:
    """Count a file; return the number of lines that were fed to the session."""
    fed = 0
    feed = session.feed

    def count_and_feed(line: bytes, *, torn: bool = False) -> list[AnyRecord]:
        nonlocal fed
        fed += 1
        return feed(line, torn=torn)

    session.feed = count_and_feed  # type: ignore[method-assign]
    session.count(blocks, writer, compiled=compiled)
    del session.feed
    return fed


def counted(
    blocks: Sequence[bytes], grouping: Any, bases: EventBases = BASES[0], *, compiled: bool
) -> Counted:
    """Count a file, with or without compiled code."""
    session = CountingSession(grouping, WINDOW_MS, bases.longest)
    found, models = CountedFiles(), {"": 0}
    fed = count_fed(session, blocks, RowWriter(found, models, bases, PRICING), compiled=compiled)
    names = list(models)
    rows = [(*row[:9], names[row[9]], *row[10:]) for row in ROW.iter_unpack(found.rows)]
    return Counted(session, rows, fed)


def _split(chance: random.Random, data: bytes) -> list[bytes]:
    """Split a file into blocks of whole lines."""
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
    """Check some cases; return the number of compiled lines, and number, fault and bytes of failures."""
    files = [lines for lines in sources() if any(map(_PLAIN.search, lines[:25]))]
    return cases.checked(seed, range(start, start + count), lambda chance: case(chance, files), check)


if __name__ == "__main__":
    sys.exit(cases.main(run, __doc__, "lines by compiled code"))
