"""Files that only their owner may read, made where others may have put something under the same name.

Sessions hold prompts: what is written of them must not go through a link that somebody planted, nor into a
file that somebody else made. So temporary files have names that cannot be guessed, and are made exclusively;
files with a fixed name are opened without following a link and without truncating.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path
from typing import BinaryIO

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_BINARY = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOINHERIT", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # a FIFO in the file's place must hold nobody up
_PREFIX, _SUFFIX = ".pi2posthog-", ".part"


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
    descriptor, name = tempfile.mkstemp(dir=folder, prefix=_PREFIX, suffix=_SUFFIX)
    return Path(name), os.fdopen(descriptor, "wb")


def create_temporary_folder(folder: Path) -> Path:
    """Create a folder (0700) in a folder, under a hidden name that cannot be guessed; return its path.

    Raises:
        OSError: it cannot be created.
    """
    return Path(tempfile.mkdtemp(dir=folder, prefix=_PREFIX, suffix=_SUFFIX))


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
