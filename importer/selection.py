"""What the user asked for: a period and a project."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from importer.periods import check_period, parse_since, parse_until


@dataclass(frozen=True, slots=True)
class Selection:
    """What the user asked for: a period (ms; the end is exclusive) and a project (may hold ``*``)."""

    since_ms: int | None = None
    until_ms: int | None = None
    project: str | None = None

    @property
    def is_period(self) -> bool:
        """Whether a period was asked for."""
        return self.since_ms is not None or self.until_ms is not None


EVERYTHING = Selection()


def make_selection(
    since: str | datetime | None = None, until: str | datetime | None = None, project: str | None = None
) -> Selection:
    """Make a selection of what a user wrote.

    Args:
        since: the start of the period: a datetime, or text as :func:`importer.periods.parse_since` takes it.
        until: its end, likewise; a date is the whole day.
        project: a project's name; ``*`` stands for anything.

    Raises:
        UsageError: a text is no date, or nothing lies between the two.
    """
    now = datetime.now().astimezone()
    since_ms = _to_ms(since, lambda text: parse_since(text, now))
    until_ms = _to_ms(until, lambda text: parse_until(text, now))
    check_period(since_ms, until_ms)
    return Selection(since_ms, until_ms, project)


def _to_ms(moment: str | datetime | None, parse: Callable[[str], int]) -> int | None:
    if isinstance(moment, str):
        return parse(moment)
    return None if moment is None else round(moment.timestamp() * 1000)
