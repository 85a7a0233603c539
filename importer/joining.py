"""Messages of a chain joined ahead, so that an input of a thousand messages is made of a few pieces.

The input of call n is that of call n-1 and a little more: a chain is joined in stretches of about 32 KiB that
all inputs share, and only what stands behind the last of them is joined for each call.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

from parsers.chain import ContextMessage, Link
from parsers.chain import Span as ContextSpan

STRETCH_BYTES = 32 * 1024
MOST_BYTES = 16 * 1024 * 1024
"""Bytes of stretches that are kept: twice the largest event that PostHog takes."""


class Encoder(Protocol):
    """Encodes the messages of one session."""

    def message(self, message: ContextMessage) -> bytes:
        """One message as JSON."""

    def size_up_to(self, link: Link | None) -> int:
        """Bytes of all messages of a chain up to a link, each with the comma behind it."""


class _Stretch(NamedTuple):
    """Neighbours in a chain: their JSON with commas between, and the link before them."""

    joined: bytes
    before: Link | None


class Newest(NamedTuple):
    """The end of an input: JSON of one or more messages each, oldest first, and how many are left out."""

    pieces: list[bytes]
    left_out: int


class Stretches:
    """The stretches of the chains of one session; those used last are kept, up to 16 MiB."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._known: dict[Link, _Stretch] = {}

    def newest(self, encoder: Encoder, span: ContextSpan, room: float = math.inf) -> Newest:
        """The newest messages of a span that fit, and the very last one in any case.

        Args:
            encoder: of the session that the span is from.
            span: the messages.
            room: bytes for them, each with a comma.
        """
        start_depth = span.start.depth if span.start else 0
        pieces: list[bytes] = []
        loose: list[bytes] = []
        link, size = span.end, encoder.size_up_to(span.end)
        while link is not None and link is not span.start:
            before = encoder.size_up_to(link.previous)
            if _ends_stretch(before, size):
                stretch = self._ending_with(encoder, link)
                depth = stretch.before.depth if stretch.before else 0
                if depth >= start_depth and len(stretch.joined) < room:
                    pieces += (*_together(loose), stretch.joined)
                    loose = []
                    room -= len(stretch.joined) + 1
                    link, size = stretch.before, size - len(stretch.joined) - 1
                    continue
            room -= size - before
            if room < 0 and (pieces or loose):
                break
            loose.append(encoder.message(link.message))
            link, size = link.previous, before
        left_out = link.depth - start_depth if link is not None and link is not span.start else 0
        return Newest([*pieces, *_together(loose)][::-1], left_out)

    def _ending_with(self, encoder: Encoder, link: Link) -> _Stretch:
        """The stretch that a link is the last of."""
        known = self._known.pop(link, None)
        if known is None:
            known = _stretch(encoder, link)
            self._bytes += len(known.joined)
        self._known[link] = known  # the last one now: the first one is the first to go
        while self._bytes > self._most_bytes and len(self._known) > 1:
            oldest = next(iter(self._known))
            self._bytes -= len(self._known.pop(oldest).joined)
        return known


def _ends_stretch(before: int, size: int) -> bool:
    """Whether a stretch ends with the message that makes a chain grow from one size to the other."""
    return before // STRETCH_BYTES != size // STRETCH_BYTES


def _stretch(encoder: Encoder, last: Link) -> _Stretch:
    """Join what stands between the end of the stretch before and that link."""
    messages = [encoder.message(last.message)]
    link = last.previous
    while link and not _ends_stretch(encoder.size_up_to(link.previous), encoder.size_up_to(link)):
        messages.append(encoder.message(link.message))
        link = link.previous
    return _Stretch(b",".join(messages[::-1]), link)


def _together(newest_first: list[bytes]) -> list[bytes]:
    return [b",".join(newest_first[::-1])] if newest_first else []
