"""Files in a remote storage that fsspec knows: their addresses, and how they are read.

fsspec is imported only when an address is used. While the user's address is looked up, every failure is a
:class:`UsageError`; after that it is an :class:`OSError`, as for a file on this machine. Nothing is written.
"""

from __future__ import annotations

import errno
import io
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from importer.errors import UsageError
from importer.quoting import printable
from importer.sessions.addresses import explain, os_error, shown_url

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

_BLOCK_BYTES = 4 * 1024 * 1024
_MTIMES = ("LastModified", "mtime", "modified", "last_modified", "updated", "created", "modify")
_PROTOCOLS_OF_EXTRA = ("s3", "s3a")
# s3fs tries five times by itself; times botocore's five, a server that hangs takes many minutes to give up.
_S3_OPTIONS = {"config_kwargs": {"retries": {"total_max_attempts": 1}}}


class RemotePath:
    """The address of a file or folder in a remote storage, such as ``s3://bucket/sessions``.

    It can be pickled: connections are made where it is used. As text it shows no password and no query::

        folder = RemotePath("s3://bucket/sessions")
        with (folder / "a.jsonl").open() as file:
            ...

    Args:
        url: the address. fsspec decides on its form.
        size: bytes of the file, if a listing told them. No more than those are read.
    """

    __slots__ = ("size", "url")

    def __init__(self, url: str, size: int | None = None) -> None:
        self.url = url.rstrip("/") if url.partition("://")[2].strip("/") else url
        self.size = size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and self.url == other.url

    def __hash__(self) -> int:
        return hash(self.url)

    def __str__(self) -> str:
        return shown_url(self.url)

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def __truediv__(self, name: str) -> RemotePath:
        slash = "" if self.url.endswith("/") else "/"
        return RemotePath(f"{self.url}{slash}{name}") if name else self

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self.url.partition("://")[2].rpartition("/")[2]

    @property
    def place(self) -> str:
        """The address of the storage: a bucket or a machine."""
        scheme, _, path = self.url.partition("://")
        return f"{scheme}://{path.partition('/')[0]}"

    @property
    def parent(self) -> RemotePath:
        """The folder it is in. A bucket is its own parent."""
        scheme, _, path = self.url.partition("://")
        folder = path.rpartition("/")[0]
        return RemotePath(f"{scheme}://{folder}") if folder else self

    @property
    def parents(self) -> Sequence[RemotePath]:
        """The folders it is in, the nearest first."""
        found: list[RemotePath] = []
        last = self
        while (parent := last.parent) != last:
            found.append(parent)
            last = parent
        return found

    def with_name(self, name: str) -> RemotePath:
        """Return another file in the same folder."""
        return self.parent / name

    def absolute(self) -> PurePosixPath:
        """Return the address as a path, for rules that look at folders' names."""
        return PurePosixPath("/" + self.url.partition("://")[2])

    def exists(self) -> bool:
        """Return whether there is such a file or folder.

        Raises:
            UsageError: the storage cannot be reached.
        """
        return lookup(self) is not None

    def open(self, mode: str = "rb") -> io.BufferedReader:
        """Open it to read from the start.

        Raises:
            OSError: it cannot be read, then or later.
        """
        return open_remote(self)


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
        raise UsageError(f"{printable(path)} cannot be used: {explain(error, path.url)}") from None
    return fs, inside


def lookup(path: RemotePath) -> StorageItem | None:
    """Return what is at an address that the user named; None if nothing is.

    Raises:
        UsageError: the storage cannot be reached or refuses.
    """
    fs, inside = filesystem(path)
    try:
        fs.invalidate_cache()
        return describe(path, fs.info(inside))
    except FileNotFoundError:
        return None
    except Exception as error:
        raise UsageError(f"{printable(path)} cannot be read: {explain(error, path.url)}") from None


@lru_cache(maxsize=4096)
def lookup_once(path: RemotePath) -> StorageItem | None:
    """Return what is at an address. It is asked once in a process: an import takes files as they were then.

    Raises:
        OSError: the storage cannot be reached or refuses.
    """
    fs, inside = filesystem(path)
    try:
        return describe(path, fs.info(inside))
    except FileNotFoundError:
        return None
    except Exception as error:
        raise os_error(error, path.url) from None


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
            raise os_error(error, self._path.url) from None
        self._next = None
        if not data:
            self._asked = self._size  # it has become shorter
            return False
        self._asked = start + len(data)
        self._block = memoryview(data)
        if self._asked < self._size:
            self._thread = self._thread or _make_thread()
            self._next = self._thread.submit(self._get, self._asked)
        return True

    def _get(self, start: int) -> bytes:
        data: bytes = self._fs.cat_file(self._inside, start=start, end=min(start + _BLOCK_BYTES, self._size))
        return data


def describe(path: RemotePath, info: dict[str, Any]) -> StorageItem:
    """Return what fsspec tells of an address."""
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


def _make_thread() -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(1)
