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


class NotRegularError(OSError):
    """There is something other than a regular file: a folder, a FIFO, a device."""


def open_checked(
    path: Path, flags: int = os.O_RDONLY, *, follow_links: bool = True
) -> tuple[int, os.stat_result]:
    """Open a file without waiting, and check what was opened.

    Args:
        path: the file.
        flags: as for `os.open`; with `os.O_CREAT`, a missing file is made (0600).
        follow_links: whether the path may be a link.

    Returns:
        The descriptor, and the status of the file.

    Raises:
        NotRegularError: it is not a regular file.
        OSError: it cannot be opened, or is a link that is not to be followed.
    """
    if not follow_links:
        if path.is_symlink():
            raise OSError(errno.ELOOP, "it is a link to another place", str(path))
        flags |= _NO_LINKS  # it may become one just now
    descriptor = os.open(path, flags | _NO_WAIT | _BINARY, 0o600)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise NotRegularError(errno.EINVAL, "it is not a regular file", str(path))
    return descriptor, status


def open_to_read(path: Path) -> int:
    """Open a file for reading, as :func:`open_checked`; return the descriptor."""
    return open_checked(path)[0]


def open_file(path: Path, buffering: int = -1, *, follow_links: bool = True) -> BinaryIO:
    """Open a file for reading, as :func:`open_checked`; return a file object.

    Example:
        >>> with open_file(Path("session.jsonl")) as lines:
        ...     first = next(lines)
    """
    return os.fdopen(open_checked(path, follow_links=follow_links)[0], "rb", buffering)


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
    descriptor, status = open_checked(path, flags, follow_links=False)
    if status.st_nlink > 1:
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
