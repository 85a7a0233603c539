"""Count session files by the workers of a Dask cluster."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from importer.build.estimate import Estimator
from importer.cluster.client import AHEAD, PARTS, Cluster
from importer.cluster.messages import Parcel
from importer.errors import UsageError
from importer.plan.counter import split
from importer.quoting import printable
from importer.sessions.session_file import SessionFile
from importer.settings import Settings
from parsers.counting.rows import CountedFiles

if TYPE_CHECKING:
    from distributed import Future


class ClusterCounter:
    """Counts session files on a cluster, some files a task. It does what a local counter does.

    Args:
        cluster: the connection.
        settings, estimator, now_ms: as for :func:`importer.plan.counter.count_files`.
    """

    def __init__(self, cluster: Cluster, settings: Settings, estimator: Estimator, now_ms: int) -> None:
        self._cluster = cluster
        self._work = (replace(settings, api_key=None), estimator, now_ms)

    def count(self, files: Sequence[SessionFile]) -> Iterator[tuple[Sequence[SessionFile], CountedFiles]]:
        """Count files; the result is that of :meth:`importer.plan.counter.Counter.count`.

        Raises:
            UsageError: the workers cannot read a file that this machine can read.
            Pi2PosthogError: the cluster failed.
        """
        from importer.cluster.work import count

        threads = sum(self._cluster.count_threads().values()) or 1
        parts = split(files, sum(file.size for file in files) // (threads * PARTS))
        waiting: deque[tuple[Sequence[SessionFile], Future[Parcel]]] = deque()
        for part in parts:
            absolute = [make_absolute(file) for file in part]
            waiting.append((part, self._cluster.submit(count, (absolute, *self._work))))
            if len(waiting) >= threads * AHEAD:
                yield self._await_first(waiting)
        while waiting:
            yield self._await_first(waiting)

    def _await_first(
        self, waiting: deque[tuple[Sequence[SessionFile], Future[Parcel]]]
    ) -> tuple[Sequence[SessionFile], CountedFiles]:
        """Wait for the oldest task."""
        part, future = waiting.popleft()
        columns: CountedFiles = self._cluster.result(future)
        for file, about in zip(part, columns.files, strict=True):
            if about.error is not None and isinstance(file.path, Path) and os.access(file.path, os.R_OK):
                raise UsageError(
                    f"the cluster's workers cannot read {printable(file.path)} ({printable(about.error)}): "
                    "put the sessions into a folder that all machines share, or into a bucket (s3://…)"
                )
        return part, columns


def make_absolute(file: SessionFile) -> SessionFile:
    """Return the file with its absolute path: a worker runs in another folder."""
    if isinstance(file.path, Path):
        return structs.replace(file, path=Path(os.path.abspath(file.path)))
    return file
