"""Reads session files up to the size that they had when they were found."""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from importer.files import open_file, open_to_read
from importer.sessions.paths import SessionPath
from importer.sessions.session_file import SessionFile
from importer.settings import Settings
from parsers.agents import PI, Agent, SessionParser
from parsers.counting.row_writer import RowWriter
from parsers.counting.session import CountingSession
from parsers.records import AnyRecord

_BLOCK = 256 * 1024  # bytes: as much as a processor's cache holds


def new_session(settings: Settings, agent: Agent = PI, *, has_content: bool = True) -> SessionParser:
    """Make a parser for one file, with the traces that the settings ask for.

    Args:
        settings: how calls are put into traces.
        agent: who wrote the file.
        has_content: whether anything that was said is sent; else it is not kept, where the agent can do that.
    """
    if not has_content and agent.numbers is not None:
        return agent.numbers(settings.trace_grouping, _window_ms(settings))
    return agent.parser(settings.trace_grouping, _window_ms(settings))


def new_count(settings: Settings, agent: Agent) -> SessionParser:
    """Make a parser that only counts, where the agent has one."""
    if agent.counter is None:
        return new_session(settings, agent)
    return agent.counter(settings.trace_grouping, _window_ms(settings), settings.max_attribute_length)


def _window_ms(settings: Settings) -> int:
    return round(settings.session_window_minutes * 60_000)


def records_of(file: SessionFile, session: SessionParser, now_ms: int) -> Iterator[list[AnyRecord]]:
    """Read a file into a session.

    Yields:
        The records that each line completes, in the end those that have ended by now.

    Raises:
        OSError: the file cannot be read.
    """
    for line in _lines(file):
        yield session.feed(line, torn=not line.endswith(b"\n"))
    yield session.finish(now_ms, file.mtime_ns // 1_000_000)


def count(
    file: SessionFile, session: SessionParser, writer: RowWriter, now_ms: int, *, compiled: bool = True
) -> None:
    """Read a file into a session, and write a row for each event; raises as :func:`records_of`."""
    if isinstance(session, CountingSession):
        session.count(_blocks(file), writer, compiled=compiled)
        writer.write(session.finish(now_ms, file.mtime_ns // 1_000_000))
        return
    for records in records_of(file, session, now_ms):
        writer.write(records)


def _lines(file: SessionFile) -> Iterator[bytes]:
    """Yield the lines of a file with their newlines; the last one may have none."""
    left = file.size
    with open_session(file.path, _BLOCK) as lines:
        for line in lines:
            left -= len(line)
            if left < 0:
                line = line[:left]
            if line:
                yield line
            if left <= 0:
                return


def _blocks(file: SessionFile) -> Iterator[memoryview]:
    """Yield the bytes of a file in blocks of whole lines, each in the memory of the one before.

    The last line may have no newline.
    """
    left, kept, path = file.size, 0, file.path
    if left <= _BLOCK and isinstance(path, Path):
        yield memoryview(_whole(path, left))
        return
    block = bytearray(min(_BLOCK, left))
    with FileIO(open_to_read(path)) if isinstance(path, Path) else path.open("rb") as content:
        while left > 0:
            if kept == len(block):
                block = block + bytes(min(kept, left))  # a line that is longer than a block
            read = content.readinto(memoryview(block)[kept : kept + left])
            if not read:
                break
            left -= read
            end = block.rfind(b"\n", kept, kept + read) + 1
            kept += read
            if end:
                yield memoryview(block)[:end]
                kept -= end
                block[:kept] = block[end : end + kept]
    if kept:
        yield memoryview(block)[:kept]


def _whole(path: Path, size: int) -> bytes:
    """Read that many bytes of a small file; to open a file object would take as long again."""
    descriptor = open_to_read(path)
    try:
        data = os.read(descriptor, size)
        while len(data) < size and (more := os.read(descriptor, size - len(data))):
            data += more
    finally:
        os.close(descriptor)
    return data


def open_session(path: SessionPath, buffering: int = -1) -> BinaryIO:
    """Open a session for reading, here or in a storage.

    Raises:
        OSError: it cannot be opened, or it is not a regular file by now.
    """
    return open_file(path, buffering) if isinstance(path, Path) else path.open("rb")
