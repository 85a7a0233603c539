"""The compiled part of :mod:`parsers.counting.session`."""

from parsers.counting.figures import Figures
from parsers.counting.session import CountingSession

def sha1_of(data: bytes, *, by_processor: bool) -> bytes:
    """The SHA-1 of some bytes, for tests; the processor's own is taken only where it has one."""

def valid_utf8(data: bytes) -> bool:
    """Whether some bytes are UTF-8, for tests."""

class CompiledFigures:
    """Takes figures as :class:`parsers.counting.figures.Figures` does, from compiled code only."""

class Straight:
    """What is known of one session between its plain lines.

    Args:
        longest: how many characters of a tool's input or output an event has.
    """

    def __init__(self, longest: int) -> None: ...
    def count(self, session: CountingSession, block: bytes | memoryview, start: int, figures: Figures) -> int:
        """Count lines for as long as they are plain.

        Args:
            session: the session.
            block: some whole lines of its file; the last one may have no newline.
            start: where in the block to begin.
            figures: takes the figures.

        Returns:
            Where the first line begins that was not counted; the length of the block where all were.
        """
