"""Where ``backfill --output`` writes events: one file of JSON lines, or a folder of parts.

PostHog's managed migrations read parts from a bucket in the order of their names. Each part is one gzip
stream, because their reader stops after the first one of a file (``rust/batch-import-worker`` in PostHog's
repository, ``src/extractor/mod.rs``).
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from isal import igzip

from importer.build.event import Envelope
from importer.errors import Pi2PosthogError, UsageError
from importer.files import (
    create_private,
    create_temporary,
    create_temporary_folder,
    move_new,
)
from importer.quoting import printable
from importer.sessions.exports import check_replaceable
from parsers.times import to_rfc3339

Write = Callable[[Envelope], None]
OnWhole = Callable[[Path, str], None]

PART_BYTES = 64 * 1024 * 1024
MOST_OPEN = 64  # days; each takes 0.4 MB of memory and one of the 256 files that macOS gives a process
_FIRST = "0000-00-00"  # parts are read by name, and the person must be there before the events


class Output(Protocol):
    """Somewhere to write events to.

    Example::

        with output_of("events.jsonl.gz").opened() as write:
            write(event)
    """

    def opened(self) -> AbstractContextManager[Write]:
        """Open it, and give a function that writes one event.

        The events appear under their final names when all of them are written. If anything is raised inside,
        nothing appears, and what was there before stays as it was.

        Raises:
            Pi2PosthogError: they cannot be written.
        """


class FileOutput:
    """One file of JSON lines, gzipped if its name ends in ``.gz``; or a pipe or a device, as it is.

    Args:
        path: the file.
        force: whether it may replace an export.

    Raises:
        UsageError: there is a file that it must not replace (:func:`check_replaceable`).
    """

    def __init__(self, path: Path, *, force: bool = False) -> None:
        self._path = path
        self._force = force
        self._is_stream = path.exists() and not path.is_file()
        if not self._is_stream:
            check_replaceable(path, force=force)

    @contextmanager
    def opened(self) -> Iterator[Write]:
        """Open the file; see :meth:`Output.opened`."""
        with _one_line_errors(self._path):
            if self._is_stream:
                with os.fdopen(os.open(self._path, os.O_WRONLY), "wb") as stream:
                    if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                        raise OSError(errno.EEXIST, "it has become a file")
                    yield _make_write(stream.write)
                return
            part, file = create_temporary(self._path.parent)
            try:
                with _open_lines(file, compress=self._path.suffix == ".gz") as write:
                    yield _make_write(write)
                self._move(part)
            finally:
                with suppress(FileNotFoundError, NotADirectoryError):
                    part.unlink()

    def _move(self, part: Path) -> None:
        """Give the whole file its name, unless something that must stay has that name by now."""
        try:
            if check_replaceable(self._path, force=self._force):
                os.replace(part, self._path)
            else:
                move_new(part, self._path)
        except FileExistsError:
            raise Pi2PosthogError(
                f"{printable(self._path)} was made by somebody else meanwhile: nothing was written"
            ) from None


class StreamOutput:
    """An open file, such as stdout; JSON lines as they come, not compressed."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @contextmanager
    def opened(self) -> Iterator[Write]:
        """Use it; see :meth:`Output.opened`. What was written before an error stays written."""
        with _one_line_errors(Path("stdout")), os.fdopen(self._descriptor, "wb", closefd=False) as stream:
            yield _make_write(stream.write)


class FolderOutput:
    """A folder that holds the parts of one export and nothing else.

    Raises:
        UsageError: it holds something else.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            names = sorted(os.listdir(folder))
        except FileNotFoundError:
            return
        except OSError as error:
            raise UsageError(f"cannot write to {printable(folder)}: {error.strerror or error}") from None
        if seen := [name for name in names if not name.startswith(".")]:
            raise UsageError(
                f"{printable(folder)} is not empty (it holds {printable(seen[0])}): "
                "name an empty or a new folder, so that no two exports mix"
            )

    @contextmanager
    def opened(self) -> Iterator[Write]:
        """Open the folder; see :meth:`Output.opened`."""
        is_new = not self._folder.exists()
        made: list[Path] = []
        with _one_line_errors(self._folder):
            try:
                self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                unfinished = create_temporary_folder(self._folder)
                made.append(unfinished)
                with Partitions(unfinished, lambda path, name: None) as parts:
                    yield parts.write
                FolderOutput(self._folder)  # another export may have come first
                for day in sorted(unfinished.iterdir()):
                    target = self._folder / day.name
                    day.rename(target)
                    made.append(target)
                unfinished.rmdir()
            except BaseException:
                for folder in made:
                    shutil.rmtree(folder, ignore_errors=True)
                if is_new:
                    with suppress(OSError):
                        self._folder.rmdir()
                raise


class Partitions:
    """Events as gzipped JSON lines in parts: a folder for each day, and in it files of bounded size.

    The same events in the same order give the same files. Use it as a context manager: leaving the block
    normally ends all parts, and raises OSError if one cannot be written; leaving it with an exception closes
    them as they are.

    Args:
        folder: where the parts are written. It exists.
        on_whole: called once a part is whole: its file, its name (``2026-11-23/part-00001.jsonl.gz``).
        part_bytes: most bytes of JSON lines in a part. A larger event has a part of its own.
        most_open: most days that are written to at once. Beyond that, the one that waited longest ends its
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

    def __enter__(self) -> Partitions:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                for day in sorted(self._open):
                    self._end(day)
        finally:
            for part in self._open.values():
                part.abandon()
            self._open.clear()

    def write(self, envelope: Envelope) -> None:
        """Add an event to the part of its day (UTC), an ``$identify`` to one that sorts before all days.

        Raises:
            OSError: it cannot be written.
        """
        line = envelope.encode() + b"\n"
        day = _FIRST if envelope.event == "$identify" else to_rfc3339(envelope.end_ms)[:10]
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
    """A part that is being written. ``size`` is in bytes, before compression."""

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


@contextmanager
def _one_line_errors(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Pi2PosthogError(f"cannot write {printable(place)}: {error.strerror or error}") from error


@contextmanager
def _open_lines(file: BinaryIO, *, compress: bool) -> Iterator[Callable[[bytes], object]]:
    with file:
        if not compress:
            yield file.write
            return
        with igzip.IGzipFile(fileobj=file, mode="wb", mtime=0) as packed:  # type: ignore[no-untyped-call]
            yield packed.write


def _make_write(write: Callable[[bytes], object]) -> Write:
    def write_line(envelope: Envelope) -> None:
        write(envelope.encode() + b"\n")

    return write_line
