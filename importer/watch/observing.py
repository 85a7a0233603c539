"""What changes in the session folders: the platform's own observer, or polling where that does not work."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver
from watchdog.observers.polling import PollingObserver

from importer.sessions.sources import Source

_NETWORK_FILE_SYSTEMS = frozenset(
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


class Changes(FileSystemEventHandler):
    """Collects changed paths from watchdog's threads until the watcher takes them.

    Example:
        >>> changes = Changes()
        >>> changes.wait(1.0)
        >>> paths, moves, must_sweep = changes.take()
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._paths: set[Path] = set()
        self._moves: list[tuple[Path, Path]] = []
        self._must_sweep = False
        self._woken = False

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Note an event of watchdog."""
        if event.event_type in ("opened", "closed_no_write"):
            return
        source, target = Path(os.fsdecode(event.src_path)), Path(os.fsdecode(event.dest_path or ""))
        with self._changed:
            if event.is_directory:
                # Not every platform reports the files in a new or moved folder one by one.
                self._must_sweep = self._must_sweep or event.event_type != "modified"
            elif event.event_type == "moved":
                self._moves.append((source, target))
                self._paths.add(target)
            else:
                self._paths.add(source)
            self._changed.notify_all()

    def wake(self) -> None:
        """End the current or the next wait."""
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def wait(self, timeout_s: float) -> None:
        """Wait for a change, for at most ``timeout_s`` seconds."""
        with self._changed:
            if not (self._paths or self._moves or self._must_sweep or self._woken):
                self._changed.wait(timeout_s)
            self._woken = False

    def take(self) -> tuple[list[Path], list[tuple[Path, Path]], bool]:
        """Take what was collected since the last call.

        Returns:
            The changed paths, sorted; the renames as (from, to), in their order; and whether the whole tree
            must be swept.
        """
        with self._changed:
            taken = sorted(self._paths), self._moves, self._must_sweep
            self._paths, self._moves, self._must_sweep = set(), [], False
        return taken


class Observation:
    """Observes session files and folders, which may be missing, go, and come back.

    Args:
        source: where to look for sessions; each :meth:`renew` asks it for its folders again.
        changes: collects the changes.
        poll: poll instead of using the platform's observer.

    Attributes:
        roots: the observed files and folders with links resolved, because native observers follow none.

    Example:
        >>> with Observation(source, changes) as observation:
        ...     observation.renew()  # now, and about once a second
        ...     observation.method
        'native'
    """

    def __init__(self, source: Source, changes: Changes, *, poll: bool = False) -> None:
        self._source = source
        self._changes = changes
        self._poll = poll
        self._observer: BaseObserver | None = None
        self._observed: list[tuple[Path, int, int]] = []  # folders with device and inode
        self.roots = self._resolve_roots()

    def __enter__(self) -> Observation:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    @property
    def method(self) -> str:
        """How it observes: ``"native"``, ``"polling"``, or ``""`` while no folder exists."""
        if self._observer is None:
            return ""
        return "polling" if isinstance(self._observer, PollingObserver) else "native"

    def covers(self, path: Path) -> bool:
        """Tell whether a path is a root, or a file below one that is named like a session."""
        return path in self.roots or (
            any(root in path.parents for root in self.roots)
            and self._source.agent_in(path.parent).takes(path.name)
        )

    def renew(self) -> bool:
        """Restart the observer if a folder appeared, went or was replaced; return whether it did."""
        self.roots = self._resolve_roots()
        folders: dict[Path, bool] = {}  # and whether to observe what is below, too
        for root in self.roots:
            folder = root if root.is_dir() else root.parent
            folders[folder] = folders.get(folder, False) or folder == root
        present = [(folder, *identity) for folder in folders if (identity := _identify_folder(folder))]
        if present == self._observed and self._is_alive():
            return False
        self._stop()
        self._observed = present
        if present:
            try:
                self._observer = start_observer(
                    {folder: folders[folder] for folder, *_ in present}, self._changes, poll=self._poll
                )
            except OSError:
                self._observed = []  # a folder has just vanished: the next call tries again
        return True

    def _resolve_roots(self) -> list[Path]:
        return [path.resolve() for path in self._source.roots() if isinstance(path, Path)]

    def _is_alive(self) -> bool:
        # An emitter ends when its folder is deleted; a new folder may have the same inode.
        return self._observer is None or all(e.should_keep_running() for e in self._observer.emitters)

    def _stop(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            observer.join(1.0)


def start_observer(folders: dict[Path, bool], changes: Changes, *, poll: bool = False) -> BaseObserver:
    """Start to observe folders: natively, or by polling where that fails or a folder is a network mount.

    Other machines append to the files of a network mount, and native observers do not see that.

    Args:
        folders: the folders, and for each whether to observe what is below it, too.
        changes: collects the changes.
        poll: poll in any case.

    Raises:
        OSError: a folder does not exist.
    """
    if not poll and not any(is_network_mount(folder) for folder in folders):
        observer: BaseObserver = Observer()
        try:
            return _schedule(observer, folders, changes)
        except OSError:  # such as no inotify watches left
            observer.unschedule_all()
    return _schedule(PollingObserver(timeout=_POLL_S), folders, changes)


def is_network_mount(folder: Path, mounts: Path = Path("/proc/mounts")) -> bool:
    """Tell whether a folder is on a network file system; False where there is no list of mounts.

    Args:
        folder: the folder; it need not exist.
        mounts: the system's list of mounts, as Linux writes it.
    """
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    place = os.path.realpath(folder)
    deepest, kind = "", ""
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = fields[1].encode().decode("unicode_escape")
        is_inside = place == point or place.startswith(point.rstrip("/") + "/")
        if is_inside and len(point) >= len(deepest):
            deepest, kind = point, fields[2]
    return kind in _NETWORK_FILE_SYSTEMS


def _identify_folder(folder: Path) -> tuple[int, int] | None:
    """Return device and inode of a folder; None if it does not exist."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _schedule(observer: BaseObserver, folders: dict[Path, bool], changes: Changes) -> BaseObserver:
    for folder, is_recursive in folders.items():
        observer.schedule(changes, str(folder), recursive=is_recursive)
    observer.start()
    return observer
