"""Bytes that are kept at hand at little cost of memory: beyond a MB they lie in a temporary file."""

from __future__ import annotations

import tempfile
from typing import IO

from importer.errors import Pi2PosthogError
from importer.plan.cache import default_cache

_MOST_BYTES = 1_000_000  # wait in memory


class Spill:
    """Bytes that grow at their end, and are read from wherever.

    The file has no name, and is gone with the process. Where it cannot be written to, as on a full disk, the
    bytes stay in memory.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        """Keep at most about so many bytes in memory."""
        self._most_bytes = most_bytes
        self._file: IO[bytes] | None = None
        self._written = 0
        self._recent = bytearray()
        self._can_write = True

    def __len__(self) -> int:
        return self._written + len(self._recent)

    def append(self, data: bytes) -> None:
        """Add bytes at the end."""
        self._recent += data
        if len(self._recent) > self._most_bytes and self._can_write:
            try:
                self._write()
            except OSError:
                self._can_write = False

    def read(self, first: int, last: int) -> bytes:
        """The bytes from one place up to another.

        Raises:
            Pi2PosthogError: the temporary file cannot be read.
        """
        first, last = min(first, len(self)), min(last, len(self))
        data = b"" if first >= self._written else self._from_file(first, min(last, self._written) - first)
        return data + self._recent[max(first - self._written, 0) : max(last - self._written, 0)]

    def _from_file(self, first: int, wanted: int) -> bytes:
        assert self._file is not None  # noqa: S101  something was written to it
        lost = "it lost what was written to it"
        try:
            self._file.seek(first)
            data = self._file.read(wanted)
        except OSError as error:
            data, lost = b"", error.strerror or str(error)
        if len(data) < wanted:
            raise Pi2PosthogError(f"A temporary file cannot be read: {lost}.")
        return data

    def _write(self) -> None:
        if self._file is None:
            self._file = _new_file()
        # From where the file is whole: a write that failed may have left a part of what it was to write.
        self._file.seek(self._written)
        while self._recent:
            written = self._file.write(self._recent)
            del self._recent[:written]
            self._written += written

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()


def _new_file() -> IO[bytes]:
    folder = default_cache().parent  # on a disk, while the system's own for such files may lie in memory
    return tempfile.TemporaryFile(buffering=0, dir=folder if folder.is_dir() else None)
