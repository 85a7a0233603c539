"""What reads the files of an agent that writes pi's format, imported when there is a file to read."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from parsers.counting.session import CountingSession
    from parsers.pi.decoding import Decoded
    from parsers.pi.runs import Grouping
    from parsers.pi.session import Session

    Terms = Callable[[], Callable[[Decoded], Decoded]]


def whole(grouping: Grouping, window_ms: int, *, terms: Terms | None = None) -> Session:
    """A parser for one file.

    Args:
        grouping: what becomes a trace.
        window_ms: how long a pause ends a session window, in ms.
        terms: gives what turns a line as the agent writes it into one as pi would.
    """
    from parsers.pi.session import Session

    return Session(grouping, window_ms, terms() if terms else None)


def counting(
    grouping: Grouping, window_ms: int, longest: int, *, terms: Terms | None = None
) -> CountingSession:
    """One that reads a file for its numbers.

    Args:
        grouping: what becomes a trace.
        window_ms: how long a pause ends a session window, in ms.
        terms: gives what turns a line as the agent writes it into one as pi would.
        longest: how many characters of a tool's input or output an event has.
    """
    from parsers.counting.session import CountingSession

    return CountingSession(grouping, window_ms, longest, terms() if terms else None)
