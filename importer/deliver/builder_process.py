"""Events built in a process of their own, ahead of those that are packed and sent.

Reading sessions and building their events takes about as long as packing and sending them. The process gives
the events in the order of the plan, and waits while nobody takes them. Where it dies, they are built here.
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
from importer.plan.plan import PlannedFile
from importer.plan.workers import usable_cores
from importer.settings import Settings
from importer.totals import TraceTotals
from parsers.records import Issue

_FEW_BYTES = 1_000_000  # less is built sooner than a process is of use
_FEW_BYTES_SPAWNED = 8_000_000  # the same where it has to import everything again
_MOST_BYTES = 64_000_000  # of a file: both processes would hold its messages
_AHEAD = 2  # files that the process knows of before their events are asked for
_PART_BYTES = 256 * 1024
_PIPE_BYTES = 1024 * 1024  # that the process may be ahead; Linux lets anybody have so many


class _End(NamedTuple):
    """A file is done: what was found to be wrong with it only now, and why it could not be read."""

    issues: list[Issue]
    error: OSError | None


_Task = tuple[PlannedFile, Mapping[str, int], Mapping[str, TraceTotals]]


def builder_for(settings: Settings, now_ms: int, size: int) -> Builder:
    """What builds the events of session files: another process, where that is worth it.

    Args:
        settings: as in the plan.
        now_ms: the moment of the import.
        size: bytes of the files.
    """
    few_bytes = _FEW_BYTES if _is_fork() else _FEW_BYTES_SPAWNED
    is_worth_it = size >= few_bytes and usable_cores() > 1
    return BuilderProcess(settings, now_ms) if is_worth_it else Builder(settings, now_ms)


def _is_fork() -> bool:
    return pool.process_context().get_start_method() == "fork"


class BuilderProcess(Builder):
    """Builds the events of sessions in another process; without one, in this one.

    Begin to use it before threads are started, and it starts at once (see
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
            except OSError:  # no memory for one, or too many are there
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
        """The files in their order; the process is at work on the next ones."""
        asked: deque[FileToBuild] = deque()
        for file in files:
            if not _is_large(file):
                with contextlib.suppress(OSError):  # that it is gone shows when its events are taken
                    self._tasks.send((file.planned, file.wanted, file.totals))
            asked.append(file)
            if len(asked) > _AHEAD:
                yield asked.popleft()
        yield from asked

    def events(self, file: FileToBuild) -> Iterator[tuple[Event, float]]:
        """As :meth:`Builder.events`."""
        reader = EventReader(str(file.planned.file.path))
        while not _is_large(file) and (said := self._heard()):
            if isinstance(said, _End):
                file.planned.issues += said.issues
                if said.error is not None:
                    raise said.error
                return
            yield from reader.read(said)
        yield from super().events(file)

    def _heard(self) -> EventPart | _End | None:
        """The next that the process says; None if it is gone."""
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
    """Let more wait in a pipe, where that can be said: else a part goes over in four steps, each a wait."""
    if sys.platform == "linux":
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _build(tasks: Connection, built: Connection, settings: Settings, now_ms: int, is_fork: bool) -> NoReturn:
    """What the process does, until it is ended or nobody is there any more."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group: the parent ends it
        if is_fork:
            _let_go({tasks.fileno(), built.fileno()})
        waiting: SimpleQueue[_Task] = SimpleQueue()
        threading.Thread(target=_receive, args=(tasks, waiting), daemon=True).start()
        builder = Builder(settings, now_ms)
        while True:
            planned, wanted, totals = waiting.get()
            _build_file(FileToBuild(planned, dict(wanted), totals), builder, built)
    finally:
        os._exit(0)  # without a word: the parent builds the rest, and says what is wrong


def _let_go(kept: set[int]) -> None:
    """Close what a fork shares with the parent, but for some files: among the others is the ledger's lock."""
    first = 3
    for kept_one in sorted(kept):
        os.closerange(first, kept_one)
        first = kept_one + 1
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))


def _receive(tasks: Connection, waiting: SimpleQueue[_Task]) -> NoReturn:
    """Take in all tasks at once, so that the parent never waits for this process while that waits for it."""
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
            event, cost_usd = next(events)
        except StopIteration:
            break
        except OSError as raised:
            error = OSError(raised.errno, raised.strerror)
            break
        del file.wanted[event.uuid]
        writer.add(event, cost_usd)
        if writer.size >= _PART_BYTES:
            _say(built, writer.take())
    _say(built, writer.take())
    _say(built, _End(file.planned.issues[known:], error))


def _say(built: Connection, what: EventPart | _End) -> None:
    try:
        built.send(what)
    except OSError:
        os._exit(0)  # the parent is gone
