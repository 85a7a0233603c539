"""How much work the contexts of one session may take, so that no file makes it grow with its square."""

from __future__ import annotations

LINK = 64
"""Bytes that one message takes in a context of its own."""

_AT_ONCE = 128_000_000
_PER_LINE = 1000


class Allowance:
    """Bytes that a session's contexts may take beyond its messages; every line of the file adds some.

    A session that people work in uses a few percent of it. What is refused is left out of ``$ai_input``
    only: calls, tokens and cost do not depend on it.

    Attributes:
        refused: whether something was refused since this was last set to False.
    """

    def __init__(self, at_once: int = _AT_ONCE) -> None:
        self._left = at_once
        self.refused = False

    def add_line(self) -> None:
        """Add what a line brings."""
        self._left += _PER_LINE

    def takes(self, size: int) -> bool:
        """Spend ``size`` bytes; False, and nothing is spent, where they are not left."""
        if size > self._left:
            self.refused = True
            return False
        self._left -= size
        return True
