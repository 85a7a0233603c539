"""Lists sessions in a remote storage, and reads the heads of many files at once.

While the user's address is looked up, every failure is a :class:`UsageError`; after that it is an
:class:`OSError`, as for a file on this machine. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from importer.errors import UsageError
from importer.quoting import printable
from importer.sessions.addresses import explain, os_error
from importer.sessions.storage import RemotePath, StorageItem, describe, filesystem

HEAD_BYTES = 8192
_HEADS_AT_ONCE = 256


def files_below(folder: RemotePath) -> list[StorageItem]:
    """Return the files below a folder, by name, each folder's own before those of its subfolders.

    Raises:
        UsageError: the folder cannot be listed.
    """
    fs, inside = filesystem(folder)
    try:
        listed: dict[str, Any] = fs.find(inside, detail=True)
    except Exception as error:
        raise UsageError(f"{printable(folder)} cannot be listed: {explain(error, folder.url)}") from None
    found = []
    for name, info in listed.items():
        below = name.removeprefix(inside).removeprefix("/")
        if below and not below.endswith("/"):
            found.append((_sort_key(below), describe(folder / below, info)))
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
            yield entry, os_error(head, entry.path.url) if isinstance(head, Exception) else bytes(head)


def _sort_key(below: str) -> list[tuple[bool, str]]:
    *folders, name = below.split("/")
    return [*((True, folder) for folder in folders), (False, name)]
