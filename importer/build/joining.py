"""Joins the messages of a chain ahead, so that an input of a thousand messages has a few pieces.

The input of call n is that of call n-1 and a little more. So a chain is joined in stretches of about 32 KiB
that all inputs share, and only what comes after the last stretch is joined for each call.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from msgspec import Struct

STRETCH_BYTES = 32 * 1024
MOST_BYTES = 16 * 1024 * 1024
"""Bytes of stretches to keep: twice the largest event that PostHog takes."""


class EncodedLink(Struct, eq=False):
    """A message as JSON, and all before it; see :class:`parsers.pi.chain.Link`.

    Attributes:
        previous: the link before it.
        json: the message.
        depth: number of links up to this one.
        size: bytes of all their messages, each with a comma.
    """

    previous: EncodedLink | None
    json: bytes
    depth: int
    size: int


def make_link(previous: EncodedLink | None, json: bytes) -> EncodedLink:
    """Return the link of a message after another."""
    if previous is None:
        return EncodedLink(None, json, 1, len(json) + 1)
    return EncodedLink(previous, json, previous.depth + 1, previous.size + len(json) + 1)


def size_of(link: EncodedLink | None) -> int:
    """Return the bytes of all messages up to a link, each with a comma."""
    return link.size if link else 0


class _Stretch(NamedTuple):
    """Neighbours in a chain: their JSON with commas in between, and the link before them."""

    joined: bytes
    before: EncodedLink | None


class Newest(NamedTuple):
    """The end of an input: pieces of JSON, oldest first, and the number of messages left out."""

    pieces: list[bytes]
    left_out: int


class Stretches:
    """The stretches of the chains of one session. Those used last are kept, up to 16 MiB."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._known: dict[EncodedLink, _Stretch] = {}

    def newest(self, start: EncodedLink | None, end: EncodedLink | None, room: float = math.inf) -> Newest:
        """Return the newest messages of a part of a chain that fit, and the very last one in any case.

        Args:
            start: the link before the part.
            end: the link at its end.
            room: bytes for them, each with a comma.
        """
        start_depth = start.depth if start else 0
        pieces: list[bytes] = []
        loose: list[bytes] = []
        link = end
        while link is not None and link is not start:
            if _ends_stretch(link):
                stretch = self._get_stretch(link)
                depth = stretch.before.depth if stretch.before else 0
                if depth >= start_depth and len(stretch.joined) < room:
                    pieces += (*_join(loose), stretch.joined)
                    loose = []
                    room -= len(stretch.joined) + 1
                    link = stretch.before
                    continue
            room -= len(link.json) + 1
            if room < 0 and (pieces or loose):
                break
            loose.append(link.json)
            link = link.previous
        left_out = link.depth - start_depth if link is not None and link is not start else 0
        return Newest([*pieces, *_join(loose)][::-1], left_out)

    def _get_stretch(self, link: EncodedLink) -> _Stretch:
        """Return the stretch that ends with a link."""
        known = self._known.pop(link, None)
        if known is None:
            known = _join_stretch(link)
            self._bytes += len(known.joined)
        self._known[link] = known  # last, and so the last to go
        while self._bytes > self._most_bytes and len(self._known) > 1:
            oldest = next(iter(self._known))
            self._bytes -= len(self._known.pop(oldest).joined)
        return known


def _ends_stretch(link: EncodedLink) -> bool:
    """Return whether a stretch ends with a link: with it, the chain grows past a multiple of the length."""
    return (link.size - len(link.json) - 1) // STRETCH_BYTES != link.size // STRETCH_BYTES


def _join_stretch(last: EncodedLink) -> _Stretch:
    """Join what is between the end of the stretch before and that link."""
    messages = [last.json]
    link = last.previous
    while link and not _ends_stretch(link):
        messages.append(link.json)
        link = link.previous
    return _Stretch(b",".join(messages[::-1]), link)


def _join(newest_first: list[bytes]) -> list[bytes]:
    return [b",".join(newest_first[::-1])] if newest_first else []
