"""Counts session files: what a preview knows of their events, without building one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from importer.build.cost import CostRules
from importer.build.estimate import Estimator
from importer.sessions.reading import count, new_count
from importer.sessions.session_file import SessionFile
from importer.sessions.titles import titles_of
from importer.settings import Settings
from parsers.agents import SessionParser
from parsers.counting.row_writer import RowWriter
from parsers.counting.rows import ROW, CountedFile, CountedFiles
from parsers.identity import uuid_bytes

if TYPE_CHECKING:
    from importer.plan.pool import WorkerPool

PURE = "PI2POSTHOG_PURE"
"""The variable that does without compiled code, for tests and reports of bugs."""

MOST_FILES = 250  # in a part
_FEW_BYTES = 8_000_000  # fewer are counted sooner than processes are started
_LEAST_BYTES = 500_000  # of a part
_MOST_BYTES = 8_000_000
_PARTS = 12  # parts for each process, so that all of them end at about the same time
_ROUNDS = 3  # parts for each process that the rest is shared out in, so that the last parts are small

Work = tuple[Settings, Estimator, int]
"""The arguments of `count_files` after the files."""


def use_compiled() -> bool:
    """Return whether compiled code is to be used where it was built."""
    return os.environ.get(PURE, "") in ("", "0")


def count_files(
    files: Sequence[SessionFile], settings: Settings, estimator: Estimator, now_ms: int
) -> CountedFiles:
    """Count the events of session files.

    Args:
        files: the files. The one that cannot be read says so in its `error`.
        settings: which traces there are, and what calls without a cost cost.
        estimator: tells the sizes of events.
        now_ms: the moment of the import, in ms since the epoch.
    """
    found = CountedFiles()
    models = {"": 0}
    compiled, pricing = use_compiled(), CostRules(settings)
    for file in files:
        start = len(found.rows)
        session = new_count(settings, file.agent)
        counted = CountedFile()
        try:
            writer = RowWriter(found, models, estimator.of_session(file), pricing)
            count(file, session, writer, now_ms, compiled=compiled)
        except OSError as error:
            counted.error = error.strerror or str(error)
            del found.rows[start:]
        else:
            _describe(counted, session)
            written_ms = file.mtime_ns // 1_000_000
            counted.is_final = session.is_final(now_ms, written_ms)
            counted.events = (len(found.rows) - start) // ROW.size
        found.files.append(counted)
    found.model_names = list(models)
    return found


def _describe(counted: CountedFile, session: SessionParser) -> None:
    counted.name, counted.first_prompt = titles_of(session)
    counted.words_at = getattr(session, "words_at", None)
    counted.subagent = session.subagent.name if session.subagent else None
    counted.issues = list(session.issues.values())
    counted.open_traces = [uuid_bytes(each) for each in sorted(session.open_traces())]


class Counter(Protocol):
    """Counts session files: on this machine, on a cluster, or from what is remembered of them."""

    def count(self, files: Sequence[SessionFile]) -> Iterator[tuple[Sequence[SessionFile], CountedFiles]]:
        """Yield some files at a time with what was counted in them, in the order of the files."""


class LocalCounter:
    """Counts files on this machine: in other processes where that is sooner done, else in this one.

    Use it as a context manager, and begin to count before you import something large: a fork copies what this
    process has imported::

        with LocalCounter(settings, make_estimator(settings), now_ms) as counter:
            for files, counted in counter.count(sessions):
                ...

    Args:
        settings, estimator, now_ms: see `count_files`.
        processes: number of processes; by default the cores that may be used.
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
        """Yield as `Counter.count` does. The processes are at work when this returns."""
        size = sum(file.size for file in files)
        parts = list(split(files, size // (self._processes * _PARTS), self._processes * _ROUNDS))
        if self._processes == 1 or size < _FEW_BYTES or len(parts) == 1:
            return ((part, count_files(part, *self._work)) for part in parts)
        from importer.plan.pool import WorkerPool  # takes 10 ms, which a few files do not need

        self._pool = WorkerPool(count_files, self._work, parts, min(self._processes, len(parts)))
        return zip(parts, self._pool.results(), strict=True)


def split(files: Sequence[SessionFile], part_bytes: int, shares: int = 0) -> Iterator[list[SessionFile]]:
    """Yield the files in parts, in their order.

    Args:
        files: the files.
        part_bytes: bytes that a part has, about.
        shares: number of parts that the rest is shared out in, where these are smaller than `part_bytes`;
            0 if parts do not get smaller.
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
    """Return the nearest number of bytes that is worth a task of its own and leaves work for others."""
    return min(max(part_bytes, _LEAST_BYTES), _MOST_BYTES)


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
