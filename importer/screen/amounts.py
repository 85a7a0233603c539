"""Amounts as people read them: bytes, tokens, dollars and moments."""

from __future__ import annotations

from datetime import datetime


def size(count: float) -> str:
    """Bytes as ``1.2 MB`` (decimal units)."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable")


def tokens(count: float) -> str:
    """Tokens as ``12.3k`` or ``4.5M``."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(count) >= limit:
            return f"{count / limit:.1f}{unit}"
    return f"{count:.0f}"


def money(dollars: float) -> str:
    """Dollars, with as many digits as a small amount needs."""
    return f"${dollars:,.2f}" if abs(dollars) >= 1 or not dollars else f"${dollars:.4f}"


def when(started: str | None) -> str:
    """A moment in local time; the year only where it is not this one."""
    if started is None:
        return ""
    moment = datetime.fromisoformat(started).astimezone()
    this_year = datetime.now().year
    return f"{moment:%m-%d %H:%M}" if moment.year == this_year else f"{moment:%Y-%m-%d}"
