"""A session file read up to the size that it had when it was found: later lines are for a later import."""

from __future__ import annotations

from collections.abc import Iterator

from importer.session_file import SessionFile
from importer.settings import Settings
from parsers.agents import PI, Agent, SessionParser
from parsers.counting import Measure
from parsers.records import AnyRecord
from parsers.session import Session

_BLOCK = 256 * 1024  # as much as a processor's cache holds


def new_session(settings: Settings, agent: Agent = PI) -> SessionParser:
    """A session to read a file into, with the traces that the settings ask for."""
    return agent.parser(settings.trace_grouping, _window_ms(settings))


def new_count(settings: Settings, agent: Agent, measure: Measure) -> SessionParser:
    """The same for a session that is only counted, where the agent's parser can do that."""
    if agent.counter is None:
        return new_session(settings, agent)
    return agent.counter(settings.trace_grouping, _window_ms(settings), measure)


def _window_ms(settings: Settings) -> int:
    return round(settings.session_window_minutes * 60_000)


def records_of(file: SessionFile, session: SessionParser, now_ms: int) -> Iterator[list[AnyRecord]]:
    """Read a file into a session.

    Yields:
        The records that some lines complete, in the end those that have ended by now.

    Raises:
        OSError: the file cannot be read.
    """
    for lines, whole in _blocks(file):
        if not whole:
            yield session.feed(lines, torn=True)
        elif isinstance(session, Session):
            yield session.feed_lines(lines)
        else:
            for line in lines[:-1].split(b"\n"):
                yield session.feed(line)
    yield session.finish(now_ms, file.mtime_ns // 1_000_000)


def read_records(file: SessionFile, settings: Settings, now_ms: int) -> tuple[SessionParser, list[AnyRecord]]:
    """The session in a file, and all its records; raises as :func:`records_of`."""
    session = new_session(settings, file.agent)
    return session, [record for some in records_of(file, session, now_ms) for record in some]


def _blocks(file: SessionFile) -> Iterator[tuple[bytes, bool]]:
    """Whole lines, some at a time; then what the file ends in without a newline."""
    left = file.size
    pending: list[bytes] = []  # a line of megabytes is joined once
    with file.path.open("rb") as lines:
        while left > 0 and (block := lines.read(min(_BLOCK, left))):
            left -= len(block)
            end = block.rfind(b"\n") + 1
            if end:
                pending.append(block[:end])
                yield b"".join(pending), True
                pending.clear()
            if end < len(block):
                pending.append(block[end:])
    if pending:
        yield b"".join(pending), False
