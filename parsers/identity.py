"""Ids that are the same for ever: derived from what pi recorded of a call, tool call or prompt.

No id depends on a path, a session id, an entry id or the order of import, so a copy in a fork, a file that
pi migrated in place and the same file on another machine all give the same ids.
"""

from __future__ import annotations

import hashlib
from uuid import UUID

import msgspec

NAMESPACE = UUID("8c0a3c5e-8f4e-5d0b-9d3c-6b1d5c1a7e42").bytes  # drawn once for this project; never change it
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
_encode = msgspec.json.Encoder().encode


def derive(kind: str, *recorded: str | int | float | None) -> str:
    """Return a UUIDv5 (RFC 9562) as text, over the kind of a record and what pi recorded of it."""
    return as_uuid(fingerprint(kind, *recorded))


def fingerprint(kind: str, *recorded: str | int | float | None) -> bytes:
    """Tell what such an id is made of: 20 bytes; a UUID has the first 16, but for its version and variant."""
    return hashlib.sha1(NAMESPACE + _encode((kind, *recorded)), usedforsecurity=False).digest()


def as_uuid(fingerprint: bytes) -> str:
    """Return the UUID of a fingerprint, as text."""
    digits = fingerprint.hex()
    return (
        f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{_VARIANT[digits[16]]}{digits[17:20]}-{digits[20:32]}"
    )


def uuid_bytes(uuid: str | bytes) -> bytes:
    """Return the 16 bytes of a UUID, of its text or of what it is made of (see :func:`fingerprint`)."""
    return bytes.fromhex((as_uuid(uuid) if isinstance(uuid, bytes) else uuid).replace("-", ""))


def digest(text: str) -> str:
    """Return a short fingerprint of a text, to tell apart what has the same times and numbers."""
    return hashlib.sha1(text.encode(errors="replace"), usedforsecurity=False).hexdigest()
