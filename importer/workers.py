"""Processes that count session files, one a core, each some files at a time."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Protocol

from importer.columns import Columns
from importer.count import count_files
from importer.estimate import Estimator
from importer.session_file import SessionFile
from importer.settings import Settings

_FEW_BYTES = 8_000_000  # less is counted sooner than processes are started
_MOST_BYTES = 8_000_000
_LEAST_BYTES = 500_000
MOST_FILES = 250
_PARTS = 12  # for each worker, so that all of them end at about the same time
_ROUNDS = 3  # that what is left is shared out in, so that the last parts are small
_AHEAD = 3  # parts for each worker that wait, or whose columns do


Work = tuple[Settings, Estimator, int]
"""What files are counted with besides themselves: see :func:`importer.count.count_files`."""


class Counter(Protocol):
    """Counts session files."""

    def count(self, files: Sequence[SessionFile]) -> Iterator[tuple[Sequence[SessionFile], Columns]]:
        """The columns of the files, some files at a time, in their order."""


class LocalCounter:
    """Counts files on this machine: in processes where that is worth it, or in this one.

    Use it as a context manager, and begin to count before something large is imported: what a process has
    imported is copied, or kept from being freed, in those that it starts.

    Args:
        settings: they decide on traces.
        estimator: tells sizes.
        now_ms: the time now, in ms.
        processes: how many; by default as many as there are cores to use.
    """

    def __init__(
        self, settings: Settings, estimator: Estimator, now_ms: int, processes: int | None = None
    ) -> None:
        self._work: Work = (settings, estimator, now_ms)
        self._processes = processes or usable_cores()
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> LocalCounter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            if error is not None:
                _kill(self._pool)
            self._pool.shutdown(wait=True, cancel_futures=True)

    def count(self, files: Sequence[SessionFile]) -> Iterator[tuple[Sequence[SessionFile], Columns]]:
        """As :meth:`Counter.count`; the processes are at work when this returns."""
        size = sum(file.size for file in files)
        parts = list(split(files, size // (self._processes * _PARTS), self._processes * _ROUNDS))
        if self._processes == 1 or size < _FEW_BYTES or len(parts) == 1:
            return ((part, count_files(part, *self._work)) for part in parts)
        self._pool = ProcessPoolExecutor(min(self._processes, len(parts)), process_context(), _begin)
        waiting: deque[tuple[Sequence[SessionFile], Future[Columns]]] = deque()
        left = iter(parts)
        for _ in range(self._processes * _AHEAD):
            self._submit(left, waiting)
        return self._columns(left, waiting)

    def _columns(
        self,
        left: Iterator[Sequence[SessionFile]],
        waiting: deque[tuple[Sequence[SessionFile], Future[Columns]]],
    ) -> Iterator[tuple[Sequence[SessionFile], Columns]]:
        while waiting:
            part, future = waiting.popleft()
            try:
                columns = future.result()
            except BrokenProcessPool:  # it ran out of memory, or somebody killed it: nothing of it is lost
                columns = count_files(part, *self._work)
            yield part, columns
            del columns, future
            self._submit(left, waiting)

    def _submit(
        self,
        left: Iterator[Sequence[SessionFile]],
        waiting: deque[tuple[Sequence[SessionFile], Future[Columns]]],
    ) -> None:
        part = next(left, None)
        if part is None or self._pool is None:
            return
        try:
            waiting.append((part, self._pool.submit(count_files, part, *self._work)))
        except BrokenProcessPool as error:
            future: Future[Columns] = Future()
            future.set_exception(error)
            waiting.append((part, future))


def split(files: Sequence[SessionFile], part_bytes: int, shares: int = 0) -> Iterator[list[SessionFile]]:
    """The files in parts, in their order.

    Args:
        files: the files.
        part_bytes: about how many bytes a part has.
        shares: that many parts the rest would make, once these are smaller; 0 if parts do not get smaller.
    """
    part_bytes = part_size(part_bytes)
    left = sum(file.size for file in files) if shares else 0
    part: list[SessionFile] = []
    size = 0
    for file in files:
        if shares and not part:
            part_bytes = min(part_bytes, part_size(left // shares))
        part.append(file)
        size += file.size
        if size >= part_bytes or len(part) >= MOST_FILES:
            yield part
            left -= size
            part, size = [], 0
    if part:
        yield part


def part_size(part_bytes: int) -> int:
    """That many bytes, or the nearest that is worth a task of its own and leaves work for others."""
    return min(max(part_bytes, _LEAST_BYTES), _MOST_BYTES)


def usable_cores() -> int:
    """How many cores this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def process_context() -> multiprocessing.context.ForkContext | multiprocessing.context.SpawnContext:
    """How processes are started now."""
    # A fork begins at once; where other threads run, as in a program that imports this, it is not safe.
    import threading

    can_fork = sys.platform == "linux" and threading.active_count() == 1
    return multiprocessing.get_context("fork") if can_fork else multiprocessing.get_context("spawn")


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group: the parent ends them
    gc.disable()  # a session refers to nothing in a circle, and to very much


def _kill(pool: ProcessPoolExecutor) -> None:
    for process in list((getattr(pool, "_processes", None) or {}).values()):
        process.kill()
