"""Builds events in a process of their own, ahead of those that are packed and sent.

To read sessions and build their events takes about as long as to pack and send them. The process hands over
the events in the order of the plan, and waits while nobody takes them. If it dies, they are built here.

`ProcessPoolExecutor` was considered. It hands over a file's events when the last of them is built, and each
one whole: 5 MB of sessions make 281 MB of events. `importer.deliver.event_stream` hands over 10 MB of them,
a part at a time.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from queue import SimpleQueue
from types import TracebackType
from typing import NamedTuple, NoReturn, Self

from importer.build.event import Event
from importer.deliver.building import Builder, FileToBuild
from importer.deliver.event_stream import EventPart, EventReader, EventWriter
from importer.plan import pool
from importer.plan.counter import usable_cores
from importer.plan.plan import PlannedFile
from importer.settings import Settings
from importer.totals import TraceTotals
from parsers.records import Issue

_FEW_BYTES = 1_000_000  # fewer are built sooner than a process is of use
_FEW_BYTES_SPAWNED = 8_000_000  # the same for a process that has to import everything again
_MOST_BYTES = 64_000_000  # of a file: both processes hold its messages
_AHEAD = 2  # files that the process gets before their events are asked for
_PART_BYTES = 256 * 1024
_PIPE_BYTES = 1024 * 1024  # that the process may be ahead: the most that Linux allows


class _End(NamedTuple):
    """The end of a file: what was found wrong with it only now, and why it could not be read."""

    issues: list[Issue]
    error: OSError | None


_Task = tuple[PlannedFile, Mapping[str, int], Mapping[str, TraceTotals], bool]


def make_builder(settings: Settings, now_ms: int, size: int) -> Builder:
    """Return what builds the events of session files: another process, if that is worth it.

    Args:
        settings: as in the plan.
        now_ms: the moment of the import, in ms since the epoch.
        size: bytes of the files.
    """
    few_bytes = _FEW_BYTES if _is_fork() else _FEW_BYTES_SPAWNED
    is_worth_it = size >= few_bytes and usable_cores() > 1
    return BuilderProcess(settings, now_ms) if is_worth_it else Builder(settings, now_ms)


def _is_fork() -> bool:
    return pool.process_context().get_start_method() == "fork"


class BuilderProcess(Builder):
    """Builds the events of sessions in another process; if there is none, in this one.

    Enter it before you start threads, and the process starts at once (see
    :func:`importer.plan.pool.process_context`).
    """

    def __enter__(self) -> Self:
        tasks, self._tasks = Pipe(duplex=False)
        self._built, built = Pipe(duplex=False)
        _widen(built)
        with tasks, built:
            given = (tasks, built, self._settings, self._now_ms, _is_fork())
            self._process = pool.process_context().Process(target=_build, args=given, daemon=True)
            self._is_alive = True
            try:
                self._process.start()
            except OSError:  # no memory for a process, or too many processes
                self._is_alive = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tasks.close()
        self._built.close()
        if self._process.pid is not None:
            self._process.kill()
            self._process.join()

    def each(self, files: Iterable[FileToBuild]) -> Iterator[FileToBuild]:
        """Yield the files in their order. The process is at work on the next ones."""
        asked: deque[FileToBuild] = deque()
        for file in files:
            if not _is_large(file):
                with contextlib.suppress(OSError):  # if it is gone, that shows when its events are taken
                    self._tasks.send(tuple(file))
            asked.append(file)
            if len(asked) > _AHEAD:
                yield asked.popleft()
        yield from asked

    def events(self, file: FileToBuild) -> Iterator[Event]:
        """Yield as :meth:`Builder.events` does."""
        reader = EventReader(str(file.planned.file.path))
        while not _is_large(file) and (said := self._receive()):
            if isinstance(said, _End):
                file.planned.issues += said.issues
                if said.error is not None:
                    raise said.error
                return
            yield from reader.read(said)
        yield from super().events(file)

    def _receive(self) -> EventPart | _End | None:
        """Return the next that the process says; None if it is gone."""
        if self._is_alive:
            try:
                said: EventPart | _End = self._built.recv()
            except (EOFError, OSError):
                self._is_alive = False
            else:
                return said
        return None


def _is_large(file: FileToBuild) -> bool:
    return file.planned.file.size > _MOST_BYTES


def _widen(pipe: Connection) -> None:
    """Let a pipe hold more, where that can be set: else a part goes over in four steps, each a wait."""
    if sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _build(tasks: Connection, built: Connection, settings: Settings, now_ms: int, is_fork: bool) -> NoReturn:
    """Build files until the process is ended, or its parent is gone."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group, and the parent ends us
        if is_fork:
            _close_inherited({tasks.fileno(), built.fileno()})
        waiting: SimpleQueue[_Task] = SimpleQueue()
        threading.Thread(target=_receive_tasks, args=(tasks, waiting), daemon=True).start()
        builder = Builder(settings, now_ms)
        while True:
            planned, wanted, totals, has_content = waiting.get()
            _build_file(FileToBuild(planned, dict(wanted), totals, has_content), builder, built)
    finally:
        os._exit(0)  # without a traceback: the parent builds the rest, and says what is wrong


def _close_inherited(kept: set[int]) -> None:
    """Close the files that a fork shares with its parent, but for some: the ledger's lock is one of them."""
    first = 3
    for kept_one in sorted(kept):
        os.closerange(first, kept_one)
        first = kept_one + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))


def _receive_tasks(tasks: Connection, waiting: SimpleQueue[_Task]) -> NoReturn:
    """Take in all tasks at once: else the parent could wait for this process while that waits for it."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            waiting.put(tasks.recv())
    os._exit(0)  # the parent is gone


def _build_file(file: FileToBuild, builder: Builder, built: Connection) -> None:
    known, error = len(file.planned.issues), None
    writer = EventWriter()
    events = builder.events(file)
    while True:
        try:
            event = next(events)
        except StopIteration:
            break
        except OSError as raised:
            error = OSError(raised.errno, raised.strerror)
            break
        del file.wanted[event.uuid]
        writer.add(event)
        if writer.size >= _PART_BYTES:
            _send(built, writer.take())
    _send(built, writer.take())
    _send(built, _End(file.planned.issues[known:], error))


def _send(built: Connection, what: EventPart | _End) -> None:
    try:
        built.send(what)
    except OSError:
        os._exit(0)  # the parent is gone
