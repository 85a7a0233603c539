"""The report of the last previews, kept in the cache: the same preview again reads no session.

No name and no prompt is kept, only the lines that they stand in; they are read again from there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from importer.commands.findings import Findings
from importer.plan.rows import AT_ONCE, Row, Rows, batched

if TYPE_CHECKING:
    from importer.plan.cache import Cache
    from importer.plan.plan import Plan
    from importer.sessions.discovery import Discovery

_WORDS = ("name", "first_prompt")
_NO_LINES = (0, 0)


class StoredReport(Struct, array_like=True):
    """All of a report but its rows, and their number.

    It is true from ``since_ms`` to ``until_ms`` (ms since the epoch; None: for ever), because events grow too
    old to go with content.
    """

    figures: dict[str, Any]
    findings: tuple[list[str], int, int]
    rows: int
    since_ms: int
    until_ms: int | None


class StoredRow(Struct, array_like=True):
    """A row without words: its file's place among those found, and the lines that its words stand in."""

    row: Row
    file: int = 0
    words_at: tuple[int, int] = _NO_LINES


def save_report(
    cache: Cache, key: bytes, figures: dict[str, Any], findings: Findings, plan: Plan, found: Discovery
) -> None:
    """Save a report and its findings in the cache.

    Args:
        cache: where to save it.
        key: a digest of everything that the report depends on.
        figures: the report; its ``groups`` are rows of any kind.
        findings: what is said about the plan.
        plan: the plan of the report; it knows where the words of its sessions stand.
        found: the files that were found.
    """
    groups = figures["groups"]
    rows = _strip_words(groups, plan, found) if isinstance(groups, Rows) else map(StoredRow, groups)
    head = StoredReport(
        {**figures, "groups": []}, (*findings,), len(groups), plan.now_ms, plan.lasts_until_ms()
    )
    encode = msgspec.msgpack.Encoder().encode
    try:
        parts = [encode(head), *(encode(part) for part in batched(rows))]
    except ValueError:  # the name of a file is no UTF-8
        return
    cache.save_report(key, parts)


def load_report(cache: Cache, key: bytes, found: Discovery) -> tuple[dict[str, Any], Findings] | None:
    """Load what :func:`save_report` saved under a key; None if there is none that is still true.

    Args:
        cache: where it was saved.
        key: as it was saved.
        found: the files that were found, which are the same as then if the key is.
    """
    parts = cache.load_report(key)
    try:
        head = msgspec.msgpack.decode(parts[0], type=StoredReport)
    except (IndexError, msgspec.DecodeError):
        return None
    if head.until_ms is not None and not head.since_ms <= time.time() * 1000 <= head.until_ms:
        return None
    if len(parts) != 1 + -(-head.rows // AT_ONCE):
        return None
    decode = msgspec.msgpack.Decoder(list[StoredRow]).decode

    def rows(places: Sequence[int]) -> Iterator[Row]:
        for part, places_in_part in groupby(places, lambda place: place // AT_ONCE):
            stored = decode(parts[1 + part])
            for place in places_in_part:
                yield _add_words(stored[place % AT_ONCE], found)

    return {**head.figures, "groups": Rows(range(head.rows), rows)}, Findings(*head.findings)


def _strip_words(rows: Rows, plan: Plan, found: Discovery) -> Iterator[StoredRow]:
    """Replace the words of sessions' rows by the lines that they stand in."""
    places = {id(file): place for place, file in enumerate(found.sessions)}
    for index, row in zip(rows.keys, rows, strict=True):
        planned = plan.files[index]
        words_at = (planned.words_at or _NO_LINES) if any(row[name] for name in _WORDS) else _NO_LINES
        yield StoredRow(row | dict.fromkeys(_WORDS), places[id(planned.file)], words_at)


def _add_words(stored: StoredRow, found: Discovery) -> Row:
    """Return a row with its words, read from their lines."""
    if stored.words_at == _NO_LINES:
        return stored.row
    from importer.sessions.titles import read_titles

    words = read_titles(found.sessions[stored.file], stored.words_at)
    return stored.row | dict(zip(_WORDS, words, strict=True))
