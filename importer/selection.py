"""What the user asked for: a period, from dates, times and ages (``--since``, ``--until``), and a project."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from importer.errors import UsageError
from importer.quoting import quoted

_ALLOWED = "use a date (2026-11-01), a time (2026-11-01T10:00, with Z or +02:00 if not local), today, "
_ALLOWED += "yesterday, or an age (30m, 24h, 7d, 2w)"
_AGE = re.compile(r"([0-9]{1,9})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Selection:
    """What the user asked for.

    Attributes:
        since_ms, until_ms: a period, in ms since the epoch; its end is exclusive, None is an open end.
        project: the name of a project; ``*`` stands for anything.
    """

    since_ms: int | None = None
    until_ms: int | None = None
    project: str | None = None

    @property
    def is_period(self) -> bool:
        """Whether the user asked for a period."""
        return self.since_ms is not None or self.until_ms is not None


EVERYTHING = Selection()


def make_selection(
    since: str | datetime | None = None, until: str | datetime | None = None, project: str | None = None
) -> Selection:
    """Return the selection that a user wrote.

    ::

        make_selection(since="7d", project="shop-*")

    Args:
        since: the start of the period: a datetime, or text as `parse_since` takes it.
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


def local_day(ms: int) -> str:
    """Return the local date of a moment in ms since the epoch, such as ``2026-11-23``."""
    return date.fromtimestamp(ms / 1000).isoformat()


def parse_since(text: str, now: datetime) -> int:
    """Return the start of a period, inclusive, in ms since the epoch.

    Args:
        text: a date or ``today``/``yesterday`` (local midnight), a time (local unless it has an offset), or
            an age before ``now`` such as ``30m``, ``24h``, ``7d`` (7 times 24 hours) or ``2w``.
        now: the present, with a time zone. Days are those of the computer's own time zone.

    Raises:
        UsageError: the text is none of these.
    """
    return _parse("--since", text, now, whole_days=timedelta(0))


def parse_until(text: str, now: datetime) -> int:
    """Return the end of a period, exclusive, in ms since the epoch.

    As `parse_since`, but a day is taken whole: it ends at the next local midnight.

    Raises:
        UsageError: the text is none of these.
    """
    return _parse("--until", text, now, whole_days=_DAY)


def check_period(since_ms: int | None, until_ms: int | None) -> None:
    """Check that something can lie in a period (ms since the epoch, None for an open end).

    Raises:
        UsageError: ``--since`` is not before ``--until``.
    """
    if since_ms is None or until_ms is None or since_ms < until_ms:
        return
    raise UsageError(
        f"--since ({_show(since_ms)}) is not before --until ({_show(until_ms)}): nothing lies between them"
    )


def _to_ms(moment: str | datetime | None, parse: Callable[[str], int]) -> int | None:
    if isinstance(moment, str):
        return parse(moment)
    return None if moment is None else round(moment.timestamp() * 1000)


def _parse(flag: str, text: str, now: datetime, whole_days: timedelta) -> int:
    if now.tzinfo is None:
        raise ValueError("now needs a time zone")
    try:
        moment = _parse_moment(text.strip(), now, whole_days)
        if moment is not None:
            return (moment - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError, OSError):
        # A day that is not in the calendar, or beyond what it or the system's time zone data can count.
        pass
    raise UsageError(f"{flag} is {quoted(text)}: {_ALLOWED}")


def _parse_moment(text: str, now: datetime, whole_days: timedelta) -> datetime | None:
    """Return the moment that the text names; None if it has no known form."""
    age = _AGE.fullmatch(text)
    if age:
        return now - timedelta(**{_UNITS[age[2]]: int(age[1])})
    if text.lower() == "today":
        return _midnight(now.astimezone().date() + whole_days)
    if text.lower() == "yesterday":
        return _midnight(now.astimezone().date() - _DAY + whole_days)
    if _DATE.fullmatch(text):
        return _midnight(date.fromisoformat(text) + whole_days)
    if _TIME.fullmatch(text):
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.astimezone()
    return None


def _midnight(day: date) -> datetime:
    """Return the start of a day in the computer's time zone, by the rules of that day."""
    return datetime(day.year, day.month, day.day).astimezone()


def _show(moment_ms: int) -> str:
    try:
        moment = (_EPOCH + timedelta(milliseconds=moment_ms)).astimezone()
    except (ValueError, OverflowError, OSError):
        return f"{moment_ms} ms"
    return moment.strftime("%Y-%m-%d %H:%M %z")
