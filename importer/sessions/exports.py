"""Which files an export may replace: nothing of the user's, an earlier export only if asked to."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from importer.errors import UsageError
from importer.files import open_regular
from importer.quoting import printable
from importer.sessions.paths import SessionPath

LIBRARY = "pi2posthog"  # the `$lib` of each event
_LONGEST_LINE = 16 * 1024 * 1024  # bytes; no event is as long


class _OurProperties(Struct, rename={"library": "$lib"}):
    library: str


class _OurEvent(Struct):
    event: str
    uuid: str
    distinct_id: str
    properties: _OurProperties


def check_replaceable(path: Path, *, force: bool) -> bool:
    """Return whether there is a file that an export may replace; False if there is none.

    Args:
        path: where the export goes.
        force: whether it may replace another export. An empty file may always be replaced.

    Raises:
        UsageError: there is a link, something other than events of ours, or an export and no ``force``.
    """
    try:
        descriptor = open_regular(path, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"cannot replace {printable(path)} ({reason}): name another file") from None
    with os.fdopen(descriptor, "rb") as file:
        is_empty = os.fstat(descriptor).st_size == 0
        is_ours = is_empty or is_export(file, compressed=path.suffix == ".gz")
    refuse_replacing(path, is_ours=is_ours, force=force or is_empty)
    return True


def refuse_replacing(place: SessionPath, *, is_ours: bool, force: bool) -> None:
    """Raise UsageError unless a file holds an export, and that may be replaced."""
    if not is_ours:
        raise UsageError(f"{printable(place)} holds no export of pi2posthog: name another file")
    if not force:
        raise UsageError(f"{printable(place)} holds an export: name another file, or add --force")


def is_export(file: BinaryIO, *, compressed: bool) -> bool:
    """Return whether the first line of a file is an event of this program, or there is no line."""
    from isal import igzip  # not needed by commands that write no export

    try:
        lines = igzip.IGzipFile(fileobj=file, mode="rb") if compressed else file  # type: ignore[no-untyped-call]
        line = lines.readline(_LONGEST_LINE)
        return not line or msgspec.json.decode(line, type=_OurEvent).properties.library == LIBRARY
    except (OSError, EOFError, ValueError, zlib.error, msgspec.DecodeError, RecursionError):
        return False
