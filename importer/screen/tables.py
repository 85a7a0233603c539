"""Tables for a person at a terminal: what a preview found and what a backfill did."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any, Literal, NamedTuple

from rich.console import Console
from rich.text import Text

from importer.plan.rows import Row
from importer.quoting import printable
from importer.screen import grid
from importer.screen.amounts import money, size, tokens, when
from importer.screen.grid import show_grid

_LONGEST = 400  # characters of a cell: a prompt of megabytes is not laid out
_STATES = {"new": "cyan", "partly": "yellow", "delivered": "green", "empty": "dim"}
_LONGEST_WORDS = 10_000  # characters of a prompt that its first line is looked for in
WIDE = 120
_WIDEST = 18  # characters of a column but the first


class Column(NamedTuple):
    """A column of the preview: its heading, and how it shows a row (or the totals)."""

    heading: str
    cell: Callable[[Row], str]
    justify: Literal["left", "right"] = "right"


def show_groups(console: Console, figures: dict[str, Any], *, private: bool) -> None:
    """Print a row for each group, the totals, and the size of the upload for each input context.

    A narrow terminal gets two lines a row, so that no column is lost at 80 characters.
    """
    stacks: list[tuple[Column, ...]]
    if console.width >= WIDE:
        stacks = [(column,) for column in _columns(figures["by"], private=private)]
    else:
        stacks = _stacked(figures["by"], private=private)
    cells = _cells([column for stack in stacks for column in stack], figures["groups"])
    columns = [
        grid.Column(
            stack[0].justify,
            [
                _line(column, next(cells), figures, is_first=not place, is_below=bool(number))
                for number, column in enumerate(stack)
            ],
        )
        for place, stack in enumerate(stacks)
    ]
    show_grid(console, columns, widest=_WIDEST)
    console.print()
    console.print(_upload(figures))


def _cells(columns: list[Column], rows: Collection[Row]) -> Iterator[list[str]]:
    """What each column shows of the rows; a row is asked for once."""
    cells: list[list[str]] = [[] for _ in columns]
    for row in rows:
        for own, column in zip(cells, columns, strict=True):
            own.append(column.cell(row))
    return iter(cells)


def _line(
    column: Column, cells: list[str], figures: dict[str, Any], *, is_first: bool, is_below: bool
) -> grid.Line:
    """What a column shows of the groups, and of all of them together."""
    total = ("" if is_below else "total") if is_first else column.cell(figures)
    style: str | list[str] = "dim" if is_below else ""
    if column.heading == "state":
        style = [_STATES[state] for state in cells]
    return grid.Line(column.heading, _printable(cells), total, style)


def _printable(texts: list[str]) -> list[str]:
    """Texts as a terminal can show them."""
    if max(map(len, texts), default=0) <= _LONGEST and "".join(texts).isprintable():
        return texts
    return [printable(text[:_LONGEST]) for text in texts]


def show_summary(console: Console, figures: dict[str, Any], seconds: float) -> None:
    """Print what a backfill did."""
    if not (figures["delivered"] or figures["failed"] or figures["left"]):
        console.print(f"Nothing new: {figures['already_delivered']:,} events are delivered already.")
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 1), show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    rows = {
        "delivered": f"{figures['delivered']:,} events",
        "cut to fit": f"{figures['trimmed']:,} of them" if figures.get("trimmed") else "",
        "already delivered": f"{figures['already_delivered']:,} events",
        "failed": f"{figures['failed']:,} events" if figures["failed"] else "",
        "left": f"{figures['left']:,} events" if figures["left"] else "",
        "sent": f"{size(figures['sent_bytes'])} ({size(figures['sent_gzip_bytes'])} gzip)",
        "requests": f"{figures['requests']:,}"
        + (f" ({figures['retries']} retries)" if figures["retries"] else ""),
        "cost covered": money(figures["cost_usd"]),
        "time": f"{seconds:.1f} s",
    }
    for name, value in rows.items():
        if value:
            table.add_row(name, value)
    console.print(table)


def _columns(by: str, *, private: bool) -> list[Column]:
    """All columns, for a wide terminal."""
    if by == "session":
        leading = [
            Column("session", lambda row: _title(row, private=private), "left"),
            Column("project", lambda row: row.get("project", ""), "left"),
            Column("when", lambda row: when(row.get("started")), "left"),
            Column("model", _models, "left"),
        ]
    else:
        leading = [
            Column(by, lambda row: row.get(by, ""), "left"),
            Column("sessions", lambda row: f"{row['sessions']:,}"),
        ]
    return [*leading, *_NUMBERS]


def _stacked(by: str, *, private: bool) -> list[tuple[Column, ...]]:
    """The same columns, two above each other."""
    prompts, calls, tools, given, answered, read, written, cost, state = _NUMBERS
    numbers = [(prompts,), (calls, tools), (given, answered), (read, written), (cost, state)]
    columns = _columns(by, private=private)
    if by == "session":
        title, project, moment, model = columns[:4]
        place = Column("project, when", lambda row: f"{project.cell(row)} · {moment.cell(row)}", "left")
        return [(title, place), (model,), *numbers]
    sessions = Column(
        "sessions", lambda row: f"{row['sessions']:,} session{'s' * (row['sessions'] != 1)}", "left"
    )
    return [(columns[0], sessions), *numbers]


def _title(row: Row, *, private: bool) -> str:
    if private:
        return str(row["session"])[:8]
    prompt = (row["first_prompt"] or "")[:_LONGEST_WORDS].strip() or "(no prompt)"
    if row["subagent"]:
        return f"{row['subagent']}: {prompt.removeprefix('Task: ')}".splitlines()[0]
    return (str(row["name"] or "")[:_LONGEST_WORDS].strip() or prompt).splitlines()[0]


def _models(row: Row) -> str:
    models: list[str] = row.get("models") or [""]
    return models[0] + (f" +{len(models) - 1}" if len(models) > 1 else "")


_NUMBERS = (
    Column("prompts", lambda row: f"{row['prompts']:,}"),
    Column("calls", lambda row: f"{row['generations']:,}"),
    Column("tools", lambda row: f"{row['spans']:,}"),
    Column("in", lambda row: tokens(row["input_tokens"])),
    Column("out", lambda row: tokens(row["output_tokens"])),
    Column("cache r", lambda row: tokens(row["cache_read_tokens"])),
    Column("cache w", lambda row: tokens(row["cache_write_tokens"])),
    Column("cost", lambda row: money(row["cost_usd"])),
    Column("state", lambda row: row.get("state", "")),
)


def _upload(figures: dict[str, Any]) -> Text:
    line = Text("upload: ")
    for index, (name, count) in enumerate(figures["upload_bytes_by_input_context"].items()):
        line.append(" · " if index else "")
        line.append(f"{name} {size(count)}", "bold" if name == figures["input_context"] else "")
    line.append(f"  in {figures['events']:,} events", "dim")
    return line
