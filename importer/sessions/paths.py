"""What the user may name as the place of sessions: a path on this machine, or an address (``s3://…``).

Both kinds have what the importer asks of a path: a name, parents, ``/`` and ``open("rb")``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from importer.errors import UsageError
from importer.quoting import printable
from importer.sessions.addresses import shown_url
from importer.sessions.storage import RemotePath

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_LOCAL = ("file://", "local://")
_KEYED = re.compile(r"(?:s3a?|gs|gcs)://[^/@]*:")

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
