"""The registry of session files: a stamp of each, so that a sweep finds the files that changed.

Observers miss changes: a file on a network mount, a full event queue, a folder that came with its files.
A sweep makes up for them with one `stat` a file.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from importer.sessions.sources import Source


class Stamp(NamedTuple):
    """What changes of a file when somebody writes to it: inode, size in bytes, and time of change in ns."""

    inode: int
    size: int
    mtime_ns: int


class Registry:
    """The stamps of all session files at the last sweep.

    Args:
        since_ms: the first sweep leaves out files last written before, in ms since the epoch; None: none.

    Example:
        >>> registry = Registry(since_ms=None)
        >>> registry.find_changed(find_stamps([folder], source))  # the first sweep
        [PosixPath('/home/me/.pi/agent/sessions/--shop--/s.jsonl')]
        >>> registry.find_changed(find_stamps([folder], source))  # nothing was written since
        []
    """

    def __init__(self, since_ms: int | None) -> None:
        self._since_ms = since_ms
        self._stamps: dict[Path, Stamp] = {}

    def find_changed(self, found: Iterable[tuple[Path, Stamp]], followed: Container[Path] = ()) -> list[Path]:
        """Find the files whose stamp changed since the last sweep.

        Args:
            found: all session files that are there now, as :func:`find_stamps` gives them.
            followed: files that count as changed although they are new and old enough to be left out.

        Returns:
            The changed and the new files, in the order of ``found``.
        """
        changed = []
        present = set()
        for path, stamp in found:
            present.add(path)
            before = self._stamps.get(path)
            if before == stamp:
                continue
            self._stamps[path] = stamp
            if before is None and path not in followed and self._is_old(stamp):
                continue
            changed.append(path)
        for path in self._stamps.keys() - present:
            del self._stamps[path]
        return changed

    def forget(self, path: Path) -> None:
        """Forget a file, so that the next sweep finds it again."""
        self._stamps.pop(path, None)

    def rename(self, source: Path, target: Path) -> None:
        """Keep the stamp of a file under its new name."""
        if source in self._stamps:
            self._stamps[target] = self._stamps.pop(source)

    def _is_old(self, stamp: Stamp) -> bool:
        return self._since_ms is not None and stamp.mtime_ns // 1_000_000 < self._since_ms


def find_stamps(paths: Iterable[Path], source: Source) -> Iterator[tuple[Path, Stamp]]:
    """Find the session files among paths and in the folders below them, each with its stamp.

    A file that is named itself counts whatever its name is. Links inside of folders are not followed, and
    what cannot be read is left out.

    Args:
        paths: files and folders; they need not exist.
        source: knows which agent writes to a folder, and so which names are those of sessions.
    """
    paths = list(paths)
    pending = [path for path in paths if not path.is_file()]
    yield from ((path, _make_stamp(path.stat())) for path in paths if path.is_file())
    while pending:
        folder = pending.pop()
        agent = source.agent_in(folder)
        try:
            with os.scandir(folder) as listing:
                for entry in listing:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(folder / entry.name)
                    elif agent.takes(entry.name) and entry.is_file(follow_symlinks=False):
                        yield folder / entry.name, _make_stamp(entry.stat(follow_symlinks=False))
        except OSError:
            continue


def _make_stamp(status: os.stat_result) -> Stamp:
    return Stamp(status.st_ino, status.st_size, status.st_mtime_ns)
