"""Where ``backfill --output`` writes events: one file of JSON lines, or a folder of parts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from isal import igzip

from importer.build.envelope import Envelope
from importer.deliver.partitions import Partitions, create_private
from importer.errors import Pi2PosthogError, UsageError
from importer.quoting import printable
from importer.sessions.storage import RemotePath, resolve

Write = Callable[[Envelope], None]

_UNFINISHED = ".pi2posthog.part"


class Output(Protocol):
    """Somewhere to write events to."""

    def opened(self) -> AbstractContextManager[Write]:
        """What writes events; they appear under their final names when all of them are written.

        Where anything is raised inside, nothing appears, and what was there before is left as it was.

        Raises:
            Pi2PosthogError: they cannot be written.
        """


def output_of(named: str | Path) -> Output:
    """The output that the user named.

    An existing folder, or a name that ends in a separator, is a folder for parts; anything else is one file.
    At the address of a remote storage, only a name that ends in ``.jsonl`` or ``.gz`` is a file.

    Raises:
        UsageError: the folder holds something: two exports in one would be imported as one.
    """
    path = resolve(named)
    if isinstance(path, RemotePath):
        from importer.deliver.remote_output import RemoteOutput

        return RemoteOutput(path)
    if path.is_dir() or str(named).endswith(tuple(filter(None, (os.sep, os.altsep)))):
        return FolderOutput(path)
    return FileOutput(path)


class FileOutput:
    """One file of JSON lines, gzipped if its name ends in ``.gz``; it replaces what was there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def opened(self) -> Iterator[Write]:
        """What writes events; see :class:`Output`."""
        part = self._path.with_name(self._path.name + ".part")
        with _one_line(self._path):
            if self._path.exists() and not self._path.is_file():  # /dev/stdout, a pipe: nothing to put there
                with self._path.open("wb") as stream:
                    yield lambda envelope: _ignore(stream.write(envelope.encode() + b"\n"))
                return
            try:
                with _lines(part, compress=self._path.suffix == ".gz") as write:
                    yield lambda envelope: _ignore(write(envelope.encode() + b"\n"))
                os.replace(part, self._path)
            finally:
                with suppress(FileNotFoundError, NotADirectoryError):
                    part.unlink()


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
        """What writes events; see :class:`Output`."""
        unfinished = self._folder / _UNFINISHED
        is_new = not self._folder.exists()
        moved: list[Path] = []
        with _one_line(self._folder):
            try:
                self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed
                unfinished.mkdir(mode=0o700)
                with partitions(unfinished, lambda path, name: None) as write:
                    yield write
                for day in sorted(unfinished.iterdir()):
                    target = self._folder / day.name
                    day.rename(target)
                    moved.append(target)
                unfinished.rmdir()
            except BaseException:
                for folder in (*moved, unfinished):
                    shutil.rmtree(folder, ignore_errors=True)
                if is_new:
                    with suppress(OSError):
                        self._folder.rmdir()
                raise


@contextmanager
def partitions(folder: Path, on_whole: Callable[[Path, str], None]) -> Iterator[Write]:
    """What writes events to parts in a folder; the arguments are those of :class:`Partitions`."""
    parts = Partitions(folder, on_whole)
    try:
        yield parts.write
        parts.finish()
    finally:
        parts.abandon()


@contextmanager
def _one_line(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Pi2PosthogError(f"cannot write {printable(place)}: {error.strerror or error}") from error


@contextmanager
def _lines(path: Path, *, compress: bool) -> Iterator[Callable[[bytes], object]]:
    with create_private(path) as file:
        if not compress:
            yield file.write
            return
        with igzip.IGzipFile(fileobj=file, mode="wb", mtime=0) as packed:  # type: ignore[no-untyped-call]
            yield packed.write


def _ignore(_: object) -> None:
    """Drop a count of bytes."""
