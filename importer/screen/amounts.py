"""Amounts as people read them: sizes, tokens, dollars, times.

Each function takes a number in a base unit and returns a short text::

    >>> format_size(1_234_567), format_tokens(12_345), format_money(0.00183), format_cost(12.3, 41)
    ('1.2 MB', '12.3k', '$0.0018', '$12.30+')
"""

from __future__ import annotations

import time
from datetime import datetime


def format_size(count: float) -> str:
    """Format a number of bytes in decimal units: ``1.2 MB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable")


def format_tokens(count: float) -> str:
    """Format a number of tokens: ``12.3k``, ``4.5M``."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(count) >= limit:
            return f"{count / limit:.1f}{unit}"
    return f"{count:.0f}"


def format_money(dollars: float) -> str:
    """Format US dollars: two digits after the point, four below one dollar."""
    return f"${dollars:,.2f}" if abs(dollars) >= 1 or not dollars else f"${dollars:.4f}"


def format_cost(dollars: float, unpriced: int) -> str:
    """Format a sum of costs that leaves out so many calls, whose cost is not known: ``$12.30+``."""
    if unpriced and not dollars:
        return "unpriced"
    return format_money(dollars) + ("+" if unpriced else "")


def format_count(count: int, noun: str) -> str:
    """Format a number of things: ``1 file``, ``1,234 files``, ``2 retries``."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def format_numbers_only(count: int, days: float) -> str:
    """Say how many events go without content, because PostHog keeps content for so many days only."""
    verb = "is" if count == 1 else "are"
    age = f"{verb} older than {format_days(days)}"
    return f"{format_count(count, 'event')} {age}: numbers only, PostHog deletes content then"


def format_days(days: float) -> str:
    """Format a number of days: ``30 days``, ``1 day``, ``0.5 days``."""
    return f"{days:g} day" + ("" if days == 1 else "s")


def format_duration(seconds: float) -> str:
    """Format a duration in its largest unit that fits twice: ``3 days``, ``90 seconds``."""
    for length, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def format_start(moment: str | None) -> str:
    """Format an RFC 3339 time as local time: ``11-23 15:00``, or the date alone if the year is another."""
    if moment is None:
        return ""
    local = datetime.fromisoformat(moment).astimezone()
    return f"{local:%m-%d %H:%M}" if local.year == datetime.now().year else f"{local:%Y-%m-%d}"


def format_minute(seconds: float) -> str:
    """Format seconds since the epoch as local time: ``2026-11-23 15:00``."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
