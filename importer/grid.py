"""A table of very many rows: columns as wide as their contents, the first one as wide as there is room.

rich's own tables measure and wrap every cell, which takes longer than reading the sessions of the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.segment import Segment, Segments
from rich.style import Style

Line = tuple[str, str]
"""A line of a cell: its text, and the name of a style or nothing."""

Cell = Sequence[Line]
Justify = Literal["left", "right"]

_LEAST = 8


def show_grid(
    console: Console, justify: Sequence[Justify], rows: Sequence[Sequence[Cell]], *, widest: int
) -> None:
    """Print rows of cells; what does not fit into a line ends in an ellipsis.

    Args:
        console: where to.
        justify: how each column stands.
        rows: the rows; a cell may have several lines.
        widest: how many characters a column but the first may have.
    """
    widths = [0] * len(justify)
    for row in rows:
        for place, cell in enumerate(row):
            for text, _ in cell:
                widths[place] = max(widths[place], _width(text))
    widths[1:] = [min(width, widest) for width in widths[1:]]
    room = console.width - sum(widths[1:]) - len(widths) + 1
    widths[0] = max(_LEAST, min(widths[0], room))
    names = {style for row in rows for cell in row for _, style in cell}
    styles = {"": None} | {name: Style.parse(name) for name in names if name}
    segments: list[Segment] = []
    for row in rows:
        for number in range(max(map(len, row))):
            for place, (cell, width, side) in enumerate(zip(row, widths, justify, strict=True)):
                text, style = cell[number] if number < len(cell) else ("", "")
                blank = width - _width(text)
                if blank < 0:
                    text, blank = _cut(text, width), 0
                before = " " * ((blank if side == "right" else 0) + bool(place))
                if before:
                    segments.append(Segment(before))
                segments.append(Segment(text, styles[style]))
                if blank and side == "left":
                    segments.append(Segment(" " * blank))
            segments.append(Segment.line())
    console.print(Segments(segments), end="", soft_wrap=True)


def _width(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)


def _cut(text: str, width: int) -> str:
    return set_cell_size(text, width - 1).rstrip() + "…"
