"""Paths to session files: on this machine (:class:`pathlib.Path`) or in a storage that fsspec knows.

Both kinds have what the importer asks of a path: a name, parents, ``/`` and ``open("rb")``. Only
:mod:`importer.sessions.remote` talks to fsspec, and it is imported only for an address.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from importer.errors import UsageError
from importer.quoting import printable

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_LOCAL = ("file://", "local://")
_KEYED = re.compile(r"(?:s3a?|gs|gcs)://[^/@]*:")
_HIDDEN = "***"


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
        from importer.sessions.remote import lookup

        return lookup(self) is not None

    def open(self, mode: str = "rb") -> io.BufferedReader:
        """Open it to read from the start.

        Raises:
            OSError: it cannot be read, then or later.
        """
        from importer.sessions.remote import open_remote

        return open_remote(self)


SessionPath = Path | RemotePath


def is_url(named: str | Path) -> bool:
    """Return whether it is the address of something in a remote storage."""
    return isinstance(named, str) and bool(_URL.match(named)) and not named.startswith(_LOCAL)


def resolve(named: str | SessionPath) -> SessionPath:
    """Return what the user named: an address (``s3://…``) or a path. ``file://`` is a path.

    Raises:
        UsageError: the address holds a secret where fsspec would take it for the bucket's name.
    """
    if not isinstance(named, str):
        return named
    for scheme in _LOCAL:
        if named.startswith(scheme):
            return Path(unquote(named.removeprefix(scheme).removeprefix("localhost")))
    if not is_url(named):
        return Path(named)
    if _KEYED.match(named):
        raise UsageError(
            f"{printable(shown_url(named))}: an address holds no keys; give them as usual for that storage "
            "(for S3: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE)"
        )
    return RemotePath(named)


def full_text(path: SessionPath) -> str:
    """Return a path as absolute text, with the names of all folders that it is in."""
    return str(path.absolute()) if isinstance(path, RemotePath) else os.path.abspath(path)


def common_folder(paths: Sequence[SessionPath]) -> str:
    """Return the folder that all folders are in, as text; the first if they are in several storages."""
    texts = [os.path.abspath(path) if isinstance(path, Path) else str(path) for path in paths]
    schemes = {text.partition("://")[0] for text in texts if "://" in text}
    if not schemes:
        return os.path.commonpath(texts)
    common = os.path.commonpath(texts) if len(schemes) == 1 and not any(map(os.path.isabs, texts)) else ""
    scheme, _, inside = common.partition(":/")
    return f"{scheme}://{inside}" if inside else texts[0]


def shown_url(url: str) -> str:
    """Return an address without its password and query."""
    scheme, _, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    user, at, host = place.rpartition("@")
    if at:
        place = f"{_HIDDEN}@{host}" if ":" in user else place
    elif ":" in place and "@" in path and not place.partition(":")[2].isdigit():
        place, slash, path = f"{_HIDDEN}@", "", rest.rpartition("@")[2]  # a key that holds a slash
    path, query, _ = path.partition("?")
    return f"{scheme}://{place}{slash}{path}{'?' + _HIDDEN if query else ''}"
