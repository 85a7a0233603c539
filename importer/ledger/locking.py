"""Lets one process at a time write a file: a lock file holds the pid of the process that has the lock.

filelock was considered. Its import takes 30 ms of every command that opens a ledger, and its lock for the
whole machine (`FileLock`) does not say which process has it.

The lock stands for the file and not for one of its names: :func:`find_target` follows links first. A lock on
the ledger itself was considered, which hard links would share: whoever closes a second descriptor of a
database drops SQLite's own locks on it, and a network file system may take `flock` for one of those.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from pathlib import Path

from importer.errors import UsageError
from importer.files import open_regular
from importer.quoting import printable

_LOCK_OFFSET = 1 << 20  # Windows locks bytes against reading too: lock one far behind the pid


def find_target(path: str | Path) -> Path:
    """Return the absolute path, without links, of the file that a path leads to. It need not exist.

    ::

        find_target("/home/me/link-to-ledger")  # Path("/srv/ledger.sqlite3")
    """
    return Path(os.path.realpath(path))


def lock(path: Path) -> int:
    """Lock `<target of path>.lock` for this process, without waiting.

    The system drops the lock when the process ends, however it ends. A forked child shares it. On a file
    system without locks, the lock is not exclusive. No link is followed, and a file that is no lock is left
    as it is.

    Args:
        path: the file to write, or a link to it. The lock is a file (0600) beside the file itself.

    Returns:
        What `unlock` takes.

    Raises:
        UsageError: another process has the lock (the line names its pid), or the file is no lock.
        OSError: the lock file cannot be opened.
    """
    lock_path = _name_lock(path)
    descriptor = open_regular(lock_path, os.O_RDWR | os.O_CREAT)
    try:
        _take_lock(descriptor, path)
        _check_is_lock(descriptor, lock_path)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def unlock(descriptor: int | None) -> None:
    """Give the lock back; None is no lock. The file stays: to remove it would race with the next holder."""
    if descriptor is None:
        return
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, _LOCK_OFFSET, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
    os.close(descriptor)


def find_holder(path: Path) -> int | None:
    """Return the pid of the process that has the lock of that file; None if none has. Creates nothing."""
    try:
        descriptor = open_regular(_name_lock(path), os.O_RDWR)
    except OSError:
        return None
    try:
        if _try_lock(descriptor):
            return None
        text = os.read(descriptor, 32).decode("ascii", "replace").strip()
        return int(text) if text.isdigit() else 0
    finally:
        os.close(descriptor)


def _name_lock(path: Path) -> Path:
    target = find_target(path)
    return target.with_name(target.name + ".lock")


def _check_is_lock(descriptor: int, lock_path: Path) -> None:
    """Raise UsageError if the file holds something else than a pid: it is the user's."""
    if os.read(descriptor, 64).strip(b"0123456789\r\n\0"):
        raise UsageError(f"{printable(lock_path)} is no lock of a ledger; move it away.")


def _take_lock(descriptor: int, path: Path) -> None:
    for wait_s in (0.0, 0.02, 0.1):
        time.sleep(wait_s)  # another process may be in `find_holder`, which has the lock for a moment
        if _try_lock(descriptor):
            return
    pid = os.read(descriptor, 32).decode("ascii", "replace").strip()
    who = f"process {pid}" if pid.isdigit() else "another process"
    raise UsageError(f"{printable(path)} is in use by {who}; wait for it to end, or stop it.")


def _try_lock(descriptor: int) -> bool:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, _LOCK_OFFSET, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Some network file systems have no locks: work without one.
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True
