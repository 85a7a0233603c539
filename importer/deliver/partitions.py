"""Events as gzipped JSON lines in parts: a folder for each day, and in it files of bounded size.

PostHog's managed migrations read such files from a bucket in the order of their names. Each part is one gzip
stream, because their reader stops after the first one of a file (``rust/batch-import-worker`` in PostHog's
repository, ``src/extractor/mod.rs``).
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from isal import igzip

from importer.build.envelope import Envelope
from parsers.times import to_rfc3339

PART_BYTES = 64 * 1024 * 1024
MOST_OPEN = 64  # days; each takes 0.4 MB of memory and one of the 256 files that macOS gives a process

OnWhole = Callable[[Path, str], None]


def create_private(path: Path) -> BinaryIO:
    """Open a new file that only its owner may read, for it holds prompts.

    Raises:
        OSError: it cannot be created.
    """
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


class Partitions:
    """Writes events to parts; the same events in the same order give the same files.

    Args:
        folder: where the parts are written; it exists.
        on_whole: called once a part is whole: its file, its name (``2026-11-23/part-00001.jsonl.gz``).
        part_bytes: how many bytes of JSON lines a part holds at most; an event that is larger has its own.
        most_open: how many days are written to at once; beyond that, the one that waited longest ends its
            part.
    """

    def __init__(
        self, folder: Path, on_whole: OnWhole, *, part_bytes: int = PART_BYTES, most_open: int = MOST_OPEN
    ) -> None:
        self._folder = folder
        self._on_whole = on_whole
        self._part_bytes = part_bytes
        self._most_open = most_open
        self._open: OrderedDict[str, _Part] = OrderedDict()
        self._parts: dict[str, int] = {}

    def write(self, envelope: Envelope) -> None:
        """Add an event to the part of its day (UTC).

        Raises:
            OSError: it cannot be written.
        """
        line = envelope.encode() + b"\n"
        day = to_rfc3339(envelope.end_ms)[:10]
        part = self._open.get(day)
        if part and part.size + len(line) > self._part_bytes:
            self._end(day)
            part = None
        if part is None:
            if len(self._open) >= self._most_open:
                self._end(next(iter(self._open)))
            part = self._open[day] = self._begin(day)
        self._open.move_to_end(day)
        part.write(line)

    def finish(self) -> None:
        """End all parts.

        Raises:
            OSError: one cannot be written.
        """
        for day in sorted(self._open):
            self._end(day)

    def abandon(self) -> None:
        """Close the files that are open, whole or not."""
        for part in self._open.values():
            part.abandon()
        self._open.clear()

    def _begin(self, day: str) -> _Part:
        number = self._parts[day] = self._parts.get(day, 0) + 1
        name = f"{day}/part-{number:05d}.jsonl.gz"
        path = self._folder / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        return _Part(path, name)

    def _end(self, day: str) -> None:
        part = self._open[day]
        part.close()
        del self._open[day]
        self._on_whole(part.path, part.name)


class _Part:
    """A part that is being written; ``size`` is in bytes, before compression."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self.size = 0
        self._file = create_private(path)
        self._packed = igzip.IGzipFile(fileobj=self._file, mode="wb", mtime=0)  # type: ignore[no-untyped-call]

    def write(self, line: bytes) -> None:
        self._packed.write(line)  # type: ignore[no-untyped-call]
        self.size += len(line)

    def close(self) -> None:
        self._packed.close()
        self._file.close()

    def abandon(self) -> None:
        try:
            self.close()
        except (OSError, ValueError):
            self._file.close()
