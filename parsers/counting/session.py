"""A session that is only counted: its lines as rows, without what was said.

Reading gigabytes for a table must cost little more than decoding them. Compiled code may run ahead over plain
lines (see ``compiled/README.md``); every other line goes the way of any session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from io import BytesIO
from typing import TYPE_CHECKING

from parsers.counting.row_writer import RowWriter
from parsers.counting.sizes import SizeKeeper
from parsers.pi.decoding import Decoded
from parsers.pi.runs import Grouping
from parsers.pi.session import Session

if TYPE_CHECKING:
    from parsers.counting.compiled._plain import PlainLines
else:
    try:
        from parsers.counting.compiled._plain import PlainLines
    except ImportError:  # there was no C compiler when this was installed
        PlainLines = None


class CountingSession(Session):
    """One session file, read for its numbers.

    Its records have the same ids, times, usage and traces; sizes stand in the place of what was said.

    Args:
        grouping, window_ms, in_pi_terms: as :class:`parsers.pi.session.Session`.
        longest: how many characters of a tool's input or output an event has.
    """

    def __init__(
        self,
        grouping: Grouping,
        window_ms: int,
        longest: int = 0,
        in_pi_terms: Callable[[Decoded], Decoded] | None = None,
    ) -> None:
        super().__init__(grouping, window_ms, in_pi_terms, SizeKeeper(longest))
        self._longest = longest

    def count(
        self, blocks: Iterable[bytes | memoryview], writer: RowWriter, *, compiled: bool = True
    ) -> None:
        """Read a file, and write a row for each event that its lines complete.

        Args:
            blocks: the file's bytes in order, in blocks of whole lines; the last line may lack its newline,
                and is torn then. A block is not looked at any more when the next one is asked for.
            writer: writes the rows.
            compiled: whether compiled code may run ahead, where it was built.
        """
        plain = None
        if compiled and PlainLines is not None and self._in_pi_terms is None:
            plain = PlainLines(self, writer, self._longest)
        for block in blocks:
            if plain is None:
                for line in BytesIO(block):
                    writer.write(self.feed(line, torn=not line.endswith(b"\n")))
                continue
            at, end = 0, len(block)
            while (at := plain.count(block, at)) < end:
                line = _line_at(block, at)
                writer.write(self.feed(line, torn=not line.endswith(b"\n")))
                at += len(line)


def _line_at(block: bytes | memoryview, at: int) -> bytes:
    """Return the line that begins there, with its newline if it has one."""
    size = 4096
    while True:
        line = bytes(block[at : at + size])
        end = line.find(b"\n") + 1
        if end or at + size >= len(block):
            return line[:end] if end else line
        size *= 4
