"""Rows that are made when they are asked for: of very many, few are in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
Row = dict[str, Any]

AT_ONCE = 1000


class Rows(Collection[Row]):
    """A collection of rows, made anew whenever they are asked for.

    Args:
        keys: the key of each row, in their order.
        make: makes the rows of some keys.
    """

    def __init__(self, keys: Sequence[int], make: Callable[[Sequence[int]], Iterable[Row]]) -> None:
        self.keys = keys
        self._make = make

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[Row]:
        for start in range(0, len(self.keys), AT_ONCE):
            yield from self._make(self.keys[start : start + AT_ONCE])

    def last(self, count: int) -> Rows:
        """Return the last rows; no other row is made for that."""
        return Rows(self.keys[-count:], self._make)

    def __contains__(self, row: object) -> bool:
        return any(row == each for each in self)


def batched(items: Iterable[T]) -> Iterator[list[T]]:
    """Yield items :data:`AT_ONCE` at a time."""
    left = iter(items)
    while part := list(islice(left, AT_ONCE)):
        yield part


def json_parts(figures: dict[str, Any]) -> Iterator[bytes]:
    """Yield the text of a JSON object, indented by two spaces; a value of it may be rows."""
    rows = [(name, value) for name, value in figures.items() if isinstance(value, Rows) and value]
    text = _formatted({name: [] if isinstance(value, Rows) else value for name, value in figures.items()})
    for name, value in rows:
        # No string holds a newline as it is, and what is further inside is indented further.
        before, between, text = text.partition(b'\n  "%b": [' % name.encode())
        yield before + between
        comma = b""
        for part in batched(value):
            yield comma + _formatted(part)[1:-2].replace(b"\n", b"\n  ")
            comma = b","
        yield b"\n  "
    yield text


def _formatted(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2)
