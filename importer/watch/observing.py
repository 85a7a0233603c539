"""Which files of a tree have changed: the platform's own observer, or polling where that does not work."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver
from watchdog.observers.polling import PollingObserver

from importer.sessions.sources import Source

_NETWORK = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "afs",
        "ceph",
        "glusterfs",
        "lustre",
        "davfs",
        "fuse.sshfs",
    }
)
_POLL_S = 5.0


class Stamp(NamedTuple):
    """What of a file changes when it is written to."""

    inode: int
    size: int
    mtime_ns: int


class Changes(FileSystemEventHandler):
    """Collects the paths of changed session files until they are taken."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._paths: set[Path] = set()
        self._moves: list[tuple[Path, Path]] = []
        self._sweep = False
        self._woken = False

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Note what watchdog saw."""
        if event.event_type in ("opened", "closed_no_write"):
            return
        source, target = Path(os.fsdecode(event.src_path)), Path(os.fsdecode(event.dest_path or ""))
        with self._changed:
            if event.is_directory:
                # what a new or moved folder holds is not told file by file on every platform
                self._sweep = self._sweep or event.event_type != "modified"
            elif event.event_type == "moved":
                self._moves.append((source, target))
                self._paths.add(target)
            else:
                self._paths.add(source)
            self._changed.notify_all()

    def wake(self) -> None:
        """End a wait."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def wait(self, timeout_s: float) -> None:
        """Wait for a change, at most that many seconds."""
        with self._changed:
            if not (self._paths or self._moves or self._sweep or self._woken):
                self._changed.wait(timeout_s)
            self._woken = False

    def take(self) -> tuple[list[Path], list[tuple[Path, Path]], bool]:
        """The changed files, the renames (from, to), and whether the whole tree must be looked at."""
        with self._changed:
            taken = sorted(self._paths), self._moves, self._sweep
            self._paths, self._moves, self._sweep = set(), [], False
        return taken


class Observation:
    """Observes files and folders that may not exist yet, may go, and may come back.

    Args:
        source: where to look for sessions; its folders are asked for anew at each :meth:`renew`.
        changes: where changes are noted.
        poll: do not use the platform's observer.

    Attributes:
        roots: the same files and folders where they really are: native observers follow no links.
    """

    def __init__(self, source: Source, changes: Changes, *, poll: bool = False) -> None:
        self._source = source
        self._changes = changes
        self._poll = poll
        self._observer: BaseObserver | None = None
        self._seen: list[tuple[Path, int, int]] = []
        self.roots = self._real_roots()

    def __enter__(self) -> Observation:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    @property
    def method(self) -> str:
        """How it observes, in a word; empty while nothing is there to observe."""
        if self._observer is None:
            return ""
        return "polling" if isinstance(self._observer, PollingObserver) else "native"

    def covers(self, path: Path) -> bool:
        """Whether a file is one of those, or is in one of the folders and named like a session."""
        return path in self.roots or (
            any(root in path.parents for root in self.roots)
            and self._source.agent_in(path.parent).takes(path.name)
        )

    def stamps(self) -> Iterator[tuple[Path, Stamp]]:
        """The session files among the roots and below them, with their stamps."""
        return stamps(self.roots, self._source)

    def renew(self) -> bool:
        """Begin again if a folder has appeared, gone or been replaced; tell whether that was so."""
        self.roots = self._real_roots()
        folders: dict[Path, bool] = {}
        for root in self.roots:
            folder = root if root.is_dir() else root.parent
            folders[folder] = folders.get(folder, False) or folder == root
        seen = [(folder, *identity) for folder in folders if (identity := _identity(folder))]
        if seen == self._seen and self._is_alive():
            return False
        self._stop()
        present = {folder: folders[folder] for folder, *_ in seen}
        self._seen = seen
        if present:
            try:
                self._observer = observe(present, self._changes, poll=self._poll)
            except OSError:
                self._seen = []  # it has just vanished: the next call tries again
        return True

    def _real_roots(self) -> list[Path]:
        return [path.resolve() for path in self._source.roots() if isinstance(path, Path)]

    def _is_alive(self) -> bool:
        # An emitter ends when its folder is deleted; a new folder may have the same inode.
        return self._observer is None or all(e.should_keep_running() for e in self._observer.emitters)

    def _stop(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            observer.join(1.0)


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def observe(folders: dict[Path, bool], changes: Changes, *, poll: bool = False) -> BaseObserver:
    """Observe folders; polls where the platform's observer fails or a folder is on a network mount.

    Another machine appends to the files of a network mount, which native observers do not see.

    Args:
        folders: what to observe, and whether with all that is below.
        changes: where changes are noted.
        poll: do not use the platform's observer.
    """
    if not poll and not any(is_network_mount(folder) for folder in folders):
        observer: BaseObserver = Observer()
        try:
            return _started(observer, folders, changes)
        except OSError:  # out of inotify watches, for one
            observer.unschedule_all()
    return _started(PollingObserver(timeout=_POLL_S), folders, changes)


def is_network_mount(folder: Path, mounts: Path = Path("/proc/mounts")) -> bool:
    """Whether a folder is on a network file system, as far as the system tells."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    place = os.path.realpath(folder)
    best, kind = "", ""
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = fields[1].encode().decode("unicode_escape")
        inside = place == point or place.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind in _NETWORK


def stamps(paths: Iterable[Path], source: Source) -> Iterator[tuple[Path, Stamp]]:
    """The session files among the paths and below them, with their stamps; unreadable ones are left out."""
    pending = [path for path in paths if not path.is_file()]
    yield from ((path, _stamp(path.stat())) for path in paths if path.is_file())
    while pending:
        folder = pending.pop()
        agent = source.agent_in(folder)
        try:
            with os.scandir(folder) as listing:
                for entry in listing:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(folder / entry.name)
                    elif agent.takes(entry.name) and entry.is_file(follow_symlinks=False):
                        yield folder / entry.name, _stamp(entry.stat(follow_symlinks=False))
        except OSError:
            continue


def _stamp(status: os.stat_result) -> Stamp:
    return Stamp(status.st_ino, status.st_size, status.st_mtime_ns)


def _started(observer: BaseObserver, folders: dict[Path, bool], changes: Changes) -> BaseObserver:
    for folder, recursive in folders.items():
        observer.schedule(changes, str(folder), recursive=recursive)
    observer.start()
    return observer
