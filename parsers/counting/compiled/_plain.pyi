"""The compiled part of :mod:`parsers.counting.session`."""

from parsers.counting.row_writer import RowWriter
from parsers.counting.session import CountingSession

def valid_utf8(data: bytes) -> bool:
    """Tell whether some bytes are UTF-8, for tests."""

class PlainLines:
    """Counts the plain lines of one session.

    Args:
        session: the session.
        writer: writes the rows of its other lines.
        longest: how many characters of a tool's input or output an event has.
    """

    def __init__(self, session: CountingSession, writer: RowWriter, longest: int) -> None: ...
    def count(self, block: bytes | memoryview, start: int) -> int:
        """Count lines for as long as they are plain.

        Args:
            block: some whole lines of the session's file; the last one may have no newline.
            start: where in the block to begin.

        Returns:
            Where the first line begins that was not counted; the length of the block where all were.
        """
