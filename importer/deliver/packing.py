"""Bodies packed as gzip, what many of them share only once.

The input of call n is that of call n-1 and a little more, so a session's bodies are made of the same few
stretches of text over and over (see :mod:`importer.build.joining`). Each stretch is packed by itself, up to a
byte's edge and without looking back behind its start, so that it may stand in any gzip stream (RFC 1951, 3.2:
blocks follow one another, and a stored block takes five bytes besides its own).
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterable

from isal import isal_zlib

_LEVEL = 2  # 6 % more bytes than level 3, in less than half its time
_SHARED_LEVEL = 3
_SHARED_BYTES = 16 * 1024  # of shorter pieces, neighbours are packed together
_STORED_BYTES = 64  # what is not longer gains nothing from being packed
_KEPT_BYTES = 16 * 1024 * 1024
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # deflate, no name, no time, any system (RFC 1952)
_END = b"\x03\x00"  # an empty last block


class Packer:
    """Packs bodies; one for all threads that send events of the same sessions."""

    def __init__(self, kept_bytes: int = _KEPT_BYTES) -> None:
        self._most = kept_bytes
        self._bytes = 0
        self._known: dict[bytes, bytes] = {}
        self._lock = threading.Lock()

    def packed(self, pieces: Iterable[bytes]) -> bytes:
        """A gzip stream of these pieces, one behind the other."""
        blocks = [_HEADER]
        loose: list[bytes] = []
        checksum = size = 0
        for piece in pieces:
            checksum = isal_zlib.crc32(piece, checksum)
            size += len(piece)
            if len(piece) < _SHARED_BYTES:
                loose.append(piece)
                continue
            blocks += (*_together(loose), self._once(piece))
            loose = []
        blocks += (*_together(loose), _END, struct.pack("<II", checksum, size & 0xFFFFFFFF))
        return b"".join(blocks)

    def _once(self, piece: bytes) -> bytes:
        """A long piece, packed now or before; what was used last is kept."""
        with self._lock:
            known = self._known.pop(piece, None)
            if known is not None:
                self._known[piece] = known
                return known
        block = _block(piece, _SHARED_LEVEL)
        with self._lock:
            if piece not in self._known:
                self._known[piece] = block
                self._bytes += len(piece) + len(block)
            while self._bytes > self._most and self._known:
                oldest = next(iter(self._known))
                self._bytes -= len(oldest) + len(self._known.pop(oldest))
        return block


def _together(loose: list[bytes]) -> Iterable[bytes]:
    """Short pieces as blocks."""
    joined = b"".join(loose)
    if len(joined) > _STORED_BYTES:
        yield _block(joined, _LEVEL)
    elif joined:
        yield struct.pack("<BHH", 0, len(joined), len(joined) ^ 0xFFFF) + joined


def _block(data: bytes, level: int) -> bytes:
    """Some blocks that need nothing before them and end at a byte's edge."""
    packer = isal_zlib.compressobj(level, wbits=-isal_zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush(isal_zlib.Z_SYNC_FLUSH)
