"""What a preview showed, remembered, so that it can be shown again without a look into the sessions.

No name and no prompt is kept: they are read again from the lines that they stand in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
_NOWHERE = (0, 0)


class _Told(Struct, array_like=True):
    """All but the rows, and how many there are."""

    figures: dict[str, Any]
    findings: tuple[list[str], int, int]
    rows: int


class _Silent(Struct, array_like=True):
    """A row without words: the place of its file among those that were found, and the lines they stand in."""

    row: Row
    file: int = 0
    words_at: tuple[int, int] = _NOWHERE


def remember(
    cache: Cache, key: bytes, figures: dict[str, Any], findings: Findings, plan: Plan, found: Discovery
) -> None:
    """Remember what is shown.

    Args:
        cache: where.
        key: changes with whatever it depends on.
        figures: what is shown of the plan; its ``groups`` are rows of any kind.
        findings: what is said about it.
        plan: of whose sessions it is known where their words stand.
        found: the files that were found.
    """
    groups = figures["groups"]
    is_by_session = isinstance(groups, Rows)
    silent = _of_sessions(groups, plan, found) if is_by_session else map(_Silent, groups)
    told = _Told({**figures, "groups": []}, (*findings,), len(groups))
    encode = msgspec.msgpack.Encoder().encode
    try:
        parts = [encode(told), *(encode(part) for part in batched(silent))]
    except ValueError:  # the name of a file is no UTF-8
        return
    cache.remember_shown(key, parts)


def _of_sessions(rows: Rows, plan: Plan, found: Discovery) -> Iterator[_Silent]:
    places = {id(file): place for place, file in enumerate(found.sessions)}
    for index, row in zip(rows.keys, rows, strict=True):
        planned = plan.files[index]
        words_at = (planned.words_at or _NOWHERE) if any(row[name] for name in _WORDS) else _NOWHERE
        yield _Silent(row | dict.fromkeys(_WORDS), places[id(planned.file)], words_at)


def recalled(cache: Cache, key: bytes, found: Discovery) -> tuple[dict[str, Any], Findings] | None:
    """What :func:`remember` was told of the files that were found; None where that is not known."""
    parts = cache.shown(key)
    try:
        told = msgspec.msgpack.decode(parts[0], type=_Told)
    except (IndexError, msgspec.DecodeError):
        return None
    if len(parts) != 1 + -(-told.rows // AT_ONCE):
        return None
    decode = msgspec.msgpack.Decoder(list[_Silent]).decode

    def rows(places: Sequence[int]) -> Iterator[Row]:
        for silent in decode(parts[1 + places[0] // AT_ONCE]):
            yield silent.row if silent.words_at == _NOWHERE else silent.row | _words(silent, found)

    return {**told.figures, "groups": Rows(range(told.rows), rows)}, Findings(*told.findings)


def _words(silent: _Silent, found: Discovery) -> Row:
    from importer.sessions.words import words_of

    return dict(zip(_WORDS, words_of(found.sessions[silent.file], silent.words_at), strict=True))
