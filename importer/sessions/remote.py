"""Reads sessions from a remote storage through fsspec: listings, heads and whole files.

While the user's address is looked up, every failure is a :class:`UsageError`; after that it is an
:class:`OSError`, as for a file on this machine. Nothing is written.
"""

from __future__ import annotations

import errno
import io
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from importer.errors import UsageError
from importer.quoting import printable
from importer.sessions.storage import RemotePath

HEAD_BYTES = 8192
_BLOCK_BYTES = 4 * 1024 * 1024
_HEADS_AT_ONCE = 256
_MTIMES = ("LastModified", "mtime", "modified", "last_modified", "updated", "created", "modify")
_USER = re.compile(r"//[^/@\s]+@")
_PROTOCOLS_OF_EXTRA = ("s3", "s3a")
# s3fs tries five times by itself; times botocore's five, a server that hangs takes many minutes to give up.
_S3_OPTIONS = {"config_kwargs": {"retries": {"total_max_attempts": 1}}}


class StorageItem(NamedTuple):
    """A file or folder in a storage.

    Attributes:
        size: bytes.
        mtime_ns: when it was written, in ns since the epoch; now, where the storage does not tell.
    """

    path: RemotePath
    is_folder: bool
    size: int
    mtime_ns: int


def filesystem(path: RemotePath) -> tuple[Any, str]:
    """Return the fsspec file system of an address, and the path in it.

    Raises:
        UsageError: a package is missing, or there is no such kind of address.
    """
    protocol = path.url.partition("://")[0]
    try:
        from fsspec.core import url_to_fs  # type: ignore[import-untyped]

        # Names of files may hold "::", which to fsspec means another storage behind this one.
        fs, _ = url_to_fs(path.place, **(_S3_OPTIONS if protocol in _PROTOCOLS_OF_EXTRA else {}))
        inside = fs._strip_protocol(path.url.replace("::", "\0")).replace("\0", "::")
    except ImportError as error:
        is_in_extra = protocol in _PROTOCOLS_OF_EXTRA or (error.name or "").startswith("fsspec")
        advice = "pip install 'pi2posthog[remote]'" + ("" if is_in_extra else f" ({error})")
        raise UsageError(f"{protocol}:// needs a package that is missing: {printable(advice)}") from None
    except Exception as error:
        raise UsageError(f"{printable(path)} cannot be used: {_explain(error, path)}") from None
    return fs, inside


def lookup(path: RemotePath) -> StorageItem | None:
    """Return what is at an address that the user named; None if nothing is.

    Raises:
        UsageError: the storage cannot be reached or refuses.
    """
    fs, inside = filesystem(path)
    try:
        fs.invalidate_cache()
        return _describe(path, fs.info(inside))
    except FileNotFoundError:
        return None
    except Exception as error:
        raise UsageError(f"{printable(path)} cannot be read: {_explain(error, path)}") from None


def files_below(folder: RemotePath) -> list[StorageItem]:
    """Return the files below a folder, by name, each folder's own before those of its subfolders.

    Raises:
        UsageError: the folder cannot be listed.
    """
    fs, inside = filesystem(folder)
    try:
        listed: dict[str, Any] = fs.find(inside, detail=True)
    except Exception as error:
        raise UsageError(f"{printable(folder)} cannot be listed: {_explain(error, folder)}") from None
    found = []
    for name, info in listed.items():
        below = name.removeprefix(inside).removeprefix("/")
        if below and not below.endswith("/"):
            found.append((_sort_key(below), _describe(folder / below, info)))
    return [entry for _, entry in sorted(found, key=lambda each: each[0]) if not entry.is_folder]


def read_heads(entries: Sequence[StorageItem]) -> Iterator[tuple[StorageItem, bytes | OSError]]:
    """Yield files with their first bytes, read many at once, or why these cannot be read."""
    for start in range(0, len(entries), _HEADS_AT_ONCE):
        some = entries[start : start + _HEADS_AT_ONCE]
        fs, _ = filesystem(some[0].path)
        asked = [entry for entry in some if entry.size]
        names = [filesystem(entry.path)[1] for entry in asked]
        ends = [min(entry.size, HEAD_BYTES) for entry in asked]
        got: list[Any]
        try:
            got = fs.cat_ranges(names, [0] * len(names), ends, on_error="return") if names else []
        except Exception as error:
            got = [error] * len(asked)
        answers = dict(zip((entry.path for entry in asked), got, strict=True))
        for entry in some:
            head = answers.get(entry.path, b"")
            yield entry, os_error(head, entry.path) if isinstance(head, Exception) else bytes(head)


@lru_cache(maxsize=4096)
def lookup_once(path: RemotePath) -> StorageItem | None:
    """Return what is at an address. It is asked once in a process: an import takes files as they were then.

    Raises:
        OSError: the storage cannot be reached or refuses.
    """
    fs, inside = filesystem(path)
    try:
        return _describe(path, fs.info(inside))
    except FileNotFoundError:
        return None
    except Exception as error:
        raise os_error(error, path) from None


def open_remote(path: RemotePath, head: bytes = b"") -> io.BufferedReader:
    """Open a file to read from the start, up to the size that it had when it was found.

    Args:
        path: the file.
        head: its first bytes, if they were read before.

    Raises:
        OSError: it cannot be read, then or later.
    """
    size = path.size
    if size is None:
        entry = lookup_once(path)
        if entry is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", str(path))
        size = entry.size
    return io.BufferedReader(_Reader(path, size, head), 1024 * 1024)


def os_error(error: Exception, path: RemotePath) -> OSError:
    """Return an error of a storage as one of a file on this machine."""
    return OSError(getattr(error, "errno", None) or errno.EIO, _explain(error, path))


class _Reader(io.RawIOBase):
    """The bytes of a file in blocks. While one is worked on, the next is on its way."""

    def __init__(self, path: RemotePath, size: int, head: bytes) -> None:
        self._path = path
        self._fs, self._inside = filesystem(path)
        self._size = size
        self._asked = min(len(head), size)
        self._block = memoryview(head[:size])
        self._next: Future[bytes] | None = None
        self._thread: ThreadPoolExecutor | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._block and not self._fill():
            return 0
        count = min(len(buffer), len(self._block))
        buffer[:count] = self._block[:count]
        self._block = self._block[count:]
        return count

    def close(self) -> None:
        if self._thread:
            self._thread.shutdown(wait=True, cancel_futures=True)
            self._thread = None
        super().close()

    def _fill(self) -> bool:
        """Take the next block. Return False at the end."""
        if self._next is None and self._asked >= self._size:
            return False
        start = self._asked
        try:
            data = self._next.result() if self._next else self._get(start)
        except Exception as error:
            raise os_error(error, self._path) from None
        self._next = None
        if not data:
            self._asked = self._size  # it has become shorter
            return False
        self._asked = start + len(data)
        self._block = memoryview(data)
        if self._asked < self._size:
            self._thread = self._thread or ThreadPoolExecutor(1)
            self._next = self._thread.submit(self._get, self._asked)
        return True

    def _get(self, start: int) -> bytes:
        data: bytes = self._fs.cat_file(self._inside, start=start, end=min(start + _BLOCK_BYTES, self._size))
        return data


def _describe(path: RemotePath, info: dict[str, Any]) -> StorageItem:
    size = int(info.get("size") or 0)
    return StorageItem(RemotePath(path.url, size), info.get("type") == "directory", size, _mtime_ns(info))


def _mtime_ns(info: dict[str, Any]) -> int:
    """Return when a file was written; now if nothing tells: then it is not taken for abandoned."""
    for key in _MTIMES:
        value = info.get(key)
        if isinstance(value, str):
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                continue
        if isinstance(value, datetime):
            value = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
        if isinstance(value, (int, float)) and value > 0:
            return int(value * 1e9)
    return time.time_ns()


def _sort_key(below: str) -> list[tuple[bool, str]]:
    *folders, name = below.split("/")
    return [*((True, folder) for folder in folders), (False, name)]


def _explain(error: Exception, path: RemotePath) -> str:
    """Return what a file system says, on one line and without the secrets of the address."""
    kind = type(error).__name__
    if "Credential" in kind:
        return "no credentials were found: give them as usual for that storage"
    if isinstance(error, PermissionError):
        return "access denied: check the credentials and what they allow"
    if isinstance(error, FileNotFoundError):
        return "No such file or directory"
    said = " ".join(str(getattr(error, "strerror", None) or error).split())
    user = path.url.partition("://")[2].rpartition("@")[0]
    query = path.url.partition("?")[2]
    said = said.replace(path.url, str(path))
    for secret in (user, user.partition(":")[2], query):
        said = said.replace(secret, "***") if secret and secret not in str(path) else said
    return printable(_USER.sub("//***@", said)[:200] or kind)
