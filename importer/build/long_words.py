"""Whether a text can hold a token at all, told in one pass: most texts hold no word that is long enough.

Sixty prefixes, each looked for in every text, took longer than all other rules together.
"""

from __future__ import annotations

import string
from collections.abc import Collection, Iterator

SHORTEST = 20
"""Characters of :data:`WORD` that a token has in a row, its prefix included; others are told by a sign."""

WORD = string.ascii_letters + string.digits + "_-."

_SHAPE = bytes(ord("w") if chr(code) in WORD else ord(" ") for code in range(256))
_LONG = b"w" * SHORTEST
_BEFORE = 2  # characters before a long word that tell what it is, such as the ``1:`` of Telegram's


class Gate:
    """Tells which texts are worth the exact rules.

    Args:
        prefixes: what the tokens begin with, or what stands right before them.
        short: what texts with other tokens hold, in small letters.
    """

    def __init__(self, prefixes: Collection[str], short: Collection[str]) -> None:
        self._prefixes = [prefix.encode() for prefix in prefixes]
        self._short = short

    def lets_through(self, text: str) -> bool:
        """Whether a text may hold a token; where this is False, it holds none."""
        words = b" ".join(_long_words(text.encode("utf-8", "surrogatepass")))
        if words and any(prefix in words for prefix in self._prefixes):
            return True
        lowered = text.lower()
        return any(sign in lowered for sign in self._short)


def _long_words(text: bytes) -> Iterator[bytes]:
    """The words of a text that are long enough, each with the characters before it."""
    shape = text.translate(_SHAPE)
    start = shape.find(_LONG)
    while start >= 0:
        end = shape.find(b" ", start)
        end = end if end >= 0 else len(shape)
        yield text[max(0, start - _BEFORE) : end]
        start = shape.find(_LONG, end)
