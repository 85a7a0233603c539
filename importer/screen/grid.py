"""A table of very many rows: columns as wide as their contents, the first one as wide as there is room.

rich's own tables measure and wrap every cell, which takes longer than reading the sessions of the rows. Here
a column is laid out at once, and rich is asked only for its colours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.segment import Segment, Segments
from rich.style import Style

Justify = Literal["left", "right"]

_LEAST = 8
_EDGES = "bold"  # the heading and the totals
_AT_ONCE = 1000  # rows that are written at once
_LATIN = re.compile("[ -~\u00a1-\u00ac\u00ae-\u02ff…]*").fullmatch  # each one cell wide


class Line(NamedTuple):
    """One line of a column's cells: the heading, the rows' texts, the total, and the style of the rows.

    ``style`` is the name of one for all rows, or a name for each; an empty one stands for none.
    """

    heading: str
    rows: Sequence[str]
    total: str
    style: str | Sequence[str] = ""


class Column(NamedTuple):
    """A column: how it stands, and its lines; a cell may have several, as a narrow terminal needs."""

    justify: Justify
    lines: Sequence[Line]


def show_grid(console: Console, columns: Sequence[Column], *, widest: int) -> None:
    """Print columns with as many rows each; what does not fit into a line ends in an ellipsis.

    Args:
        console: where to.
        columns: the columns; their texts can be printed.
        widest: how many characters a column but the first may have.
    """
    widths = [max(map(_longest, column.lines)) for column in columns]
    widths[1:] = [min(width, widest) for width in widths[1:]]
    room = console.width - sum(widths[1:]) - len(widths) + 1
    widths[0] = max(_LEAST, min(widths[0], room))
    styles = _Styles(console)
    height = max(len(column.lines) for column in columns)
    laid_out = [
        zip(
            *(_cells(column, number, width, styles) for column, width in zip(columns, widths, strict=True)),
            strict=True,
        )
        for number in range(height)
    ]
    text: list[str] = []
    for row in zip(*laid_out, strict=True):
        text += map(" ".join, row)
        if len(text) >= _AT_ONCE:
            _print(console, text)
            text = []
    _print(console, text)


def _print(console: Console, lines: Sequence[str]) -> None:
    console.print(Segments([Segment("".join(f"{line}\n" for line in lines))]), end="", soft_wrap=True)


class _Styles:
    """What a console writes before and after a text of some style."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._known: dict[str, tuple[str, str]] = {"": ("", "")}
        self.has_any = console.color_system is not None and not console.legacy_windows

    def painted(self, text: str, style: str) -> str:
        """A text in that style."""
        if style not in self._known:
            with self._console.capture() as capture:
                self._console.print(Segments([Segment("\0", Style.parse(style))]), end="")
            before, _, after = capture.get().partition("\0")
            self._known[style] = before, after
        before, after = self._known[style]
        return f"{before}{text}{after}"


def _cells(column: Column, number: int, width: int, styles: _Styles) -> list[str]:
    """That line of each cell, as wide as the column."""
    if number >= len(column.lines):
        return [" " * width] * (len(column.lines[0].rows) + 2)
    line = column.lines[number]
    cells = _fitted((line.heading, *line.rows, line.total), width, column.justify)
    if not styles.has_any:
        return cells
    of_rows = [line.style] * len(line.rows) if isinstance(line.style, str) else line.style
    return [
        styles.painted(cell, style) for cell, style in zip(cells, (_EDGES, *of_rows, _EDGES), strict=True)
    ]


def _longest(line: Line) -> int:
    texts = (line.heading, *line.rows, line.total)
    return max(map(_width, texts))


def _width(text: str) -> int:
    return len(text) if _is_narrow(text) else cell_len(text)


def _is_narrow(text: str) -> bool:
    """Whether each character is known to be one cell wide."""
    return text.isascii() or bool(_LATIN(text))


def _fitted(texts: Sequence[str], width: int, justify: Justify) -> list[str]:
    """Texts cut, or filled with blanks, to a width."""
    cells = []
    for text in texts:
        size = _width(text)
        if size > width:
            cut = text[: width - 1] if _is_narrow(text) else set_cell_size(text, width - 1)
            text = cut.rstrip() + "…"
            size = _width(text)
        blank = " " * (width - size)
        cells.append(text + blank if justify == "left" else blank + text)
    return cells
