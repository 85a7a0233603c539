"""Opens and makes files where others may have put something under the same name.

A file that is read is checked once it is open: what was a file a moment ago may be a FIFO or a device by now,
and would hold everything up.

Sessions hold prompts, so what is written of them must not go through a link that somebody planted, nor into
a file that somebody else made: temporary files have names that cannot be guessed, and are made exclusively;
files with a fixed name are opened without following a link and without truncating.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOINHERIT", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # a FIFO in the file's place must hold nobody up


def open_to_read(path: Path) -> int:
    """Open a file for reading, without waiting; links are followed. Returns the descriptor.

    Raises:
        OSError: it cannot be opened, or it is not a regular file by now.
    """
    descriptor = os.open(path, os.O_RDONLY | _NO_WAIT | _BINARY)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return descriptor


def open_file(path: Path, buffering: int = -1) -> BinaryIO:
    """Open a file for reading, as :func:`open_to_read`; return a file object.

    Example:
        >>> with open_file(Path("session.jsonl")) as lines:
        ...     first = next(lines)
    """
    return os.fdopen(open_to_read(path), "rb", buffering)


def create_private(path: Path) -> BinaryIO:
    """Create a file (0600) and return it, open for writing.

    Raises:
        FileExistsError: there is something of that name, be it a link that leads nowhere.
        OSError: it cannot be created.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINKS | _BINARY
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def create_temporary(folder: Path) -> tuple[Path, BinaryIO]:
    """Create a file (0600) in a folder, under a hidden name that cannot be guessed.

    Returns:
        Its path, and the file, open for writing.

    Raises:
        OSError: it cannot be created.
    """
    path = folder / _make_name()
    return path, create_private(path)


def create_temporary_folder(folder: Path) -> Path:
    """Create a folder (0700) in a folder, under a hidden name that cannot be guessed; return its path.

    Raises:
        OSError: it cannot be created.
    """
    path = folder / _make_name()
    path.mkdir(mode=0o700)
    return path


def _make_name() -> str:
    return f".pi2posthog-{os.urandom(12).hex()}.part"  # tempfile takes 4 ms of every command to import


def open_regular(path: Path, flags: int) -> int:
    """Open a file of this program under its fixed name, without truncating; return the descriptor.

    Args:
        path: the file. It has no other name (hard link), and is no link.
        flags: as for `os.open`; with `os.O_CREAT`, a missing file is made (0600).

    Raises:
        OSError: it cannot be opened, or it is a link, has a second name, or is not a regular file.
    """
    if not _NO_LINKS and path.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    descriptor = os.open(path, flags | _NO_LINKS | _NO_WAIT | _BINARY, 0o600)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file with one name", str(path))
    return descriptor


def move_new(source: Path, target: Path) -> None:
    """Give a file its final name; nothing that has that name by now is replaced.

    Raises:
        FileExistsError: there is something of that name. The file stays where it was.
        OSError: it cannot be renamed.
    """
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: take the name first
        create_private(target).close()
        try:
            os.replace(source, target)
        except BaseException:
            target.unlink()
            raise
        return
    source.unlink()
