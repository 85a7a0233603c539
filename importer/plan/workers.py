"""Processes that count session files, one a core, each some files at a time."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from importer.build.estimate import Estimator
from importer.plan.count import count_files
from importer.sessions.session_file import SessionFile
from importer.settings import Settings
from parsers.counting.rows import CountedFiles

if TYPE_CHECKING:
    from importer.plan.pool import WorkerPool

_FEW_BYTES = 8_000_000  # less is counted sooner than processes are started
_MOST_BYTES = 8_000_000
_LEAST_BYTES = 500_000
MOST_FILES = 250
_PARTS = 12  # for each worker, so that all of them end at about the same time
_ROUNDS = 3  # that what is left is shared out in, so that the last parts are small


Work = tuple[Settings, Estimator, int]
"""What files are counted with besides themselves: see :func:`importer.plan.count.count_files`."""


class Counter(Protocol):
    """Counts session files."""

    def count(self, files: Sequence[SessionFile]) -> Iterator[tuple[Sequence[SessionFile], CountedFiles]]:
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
        self._pool: WorkerPool[Sequence[SessionFile], CountedFiles] | None = None

    def __enter__(self) -> LocalCounter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.close()

    def count(self, files: Sequence[SessionFile]) -> Iterator[tuple[Sequence[SessionFile], CountedFiles]]:
        """As :meth:`Counter.count`; the processes are at work when this returns."""
        size = sum(file.size for file in files)
        parts = list(split(files, size // (self._processes * _PARTS), self._processes * _ROUNDS))
        if self._processes == 1 or size < _FEW_BYTES or len(parts) == 1:
            return ((part, count_files(part, *self._work)) for part in parts)
        from importer.plan.pool import WorkerPool  # 10 ms, which a few files do not need

        self._pool = WorkerPool(count_files, self._work, parts, min(self._processes, len(parts)))
        return zip(parts, self._pool.results(), strict=True)


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
