"""The tables of a preview and of a backfill.

Example: print the newest ten sessions of a report. ::

    figures = make_report(plan, settings, "session", EVERYTHING)
    show_report(Console(), figures, private=False, limit=10)

rich takes about 1 ms a row: a table of all sessions of a large history would take longer than reading them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Literal, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from importer.plan.rows import Row, Rows
from importer.quoting import printable
from importer.screen.amounts import (
    format_cost,
    format_count,
    format_days,
    format_money,
    format_numbers_only,
    format_size,
    format_start,
    format_tokens,
)

WIDE = 120  # characters of a terminal from which on a row is one line
_MIN_TABLE = 64  # characters; a terminal that is still narrower breaks the lines
_MAX_WIDTH = 18  # characters of a column other than the first
_MAX_CELL = 400  # characters of a cell that rich has to measure
_MAX_PROMPT = 10_000  # characters of a prompt in which its first line is looked for
_MAX_MODELS = 3  # that are named as unpriced
_STATE_STYLES = {"new": "cyan", "partly": "yellow", "delivered": "green", "empty": "dim"}


class ReportColumn(NamedTuple):
    """A column of the report: its heading, and the text that it shows of a row or of the totals."""

    heading: str
    text: Callable[[Row], str]
    justify: Literal["left", "right"] = "right"


def show_report(console: Console, figures: dict[str, Any], *, private: bool, limit: int) -> None:
    """Print a row for each group, the totals, and the size of the upload for each input context.

    A terminal narrower than :data:`WIDE` gets two lines a row, so that no column is lost at 80 characters.

    Args:
        console: where to print.
        figures: a report, as :func:`importer.plan.report.make_report` returns it.
        private: show session ids instead of names and prompts.
        limit: the number of rows to show, 0 for all. Sessions and days: the newest; projects and models:
            those that cost most. The totals are always over all rows.
    """
    by, rows = figures["by"], figures["groups"]
    columns = _columns(by, private=private)
    stacks: list[tuple[ReportColumn, ...]]
    stacks = [(column,) for column in columns] if console.width >= WIDE else _stack(columns, by)
    table = _table(stacks, _select_rows(rows, by, limit), figures)
    if console.width < _MIN_TABLE:
        table.width = _MIN_TABLE
    console.print(table, crop=False)
    if 0 < limit < len(rows):
        kind = {"session": "older sessions", "day": "older days"}.get(by, f"cheaper {by}s")
        left = f"… and {len(rows) - limit:,} {kind}: --limit 0 shows all, --json lists them"
        console.print(Text(left, "dim"), soft_wrap=True)
    console.print()
    if figures["unpriced"]["calls"]:
        console.print(Text(_cost_line(figures)), soft_wrap=True)
    console.print(_upload_line(figures))
    if figures["numbers_only"]:
        console.print(Text(format_numbers_only(figures["numbers_only"], figures["content_days"]), "dim"))


def show_summary(console: Console, figures: dict[str, Any], seconds: float) -> None:
    """Print what a backfill did.

    Args:
        console: where to print.
        figures: counts of events and requests, sizes in bytes, ``cost_usd``, and the ``unpriced_calls`` that
            it leaves out.
        seconds: how long it took.
    """
    if not (figures["delivered"] or figures["failed"] or figures["left"]):
        console.print(f"Nothing new: {figures['already_delivered']:,} events are delivered already.")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1), show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    rows = {
        "delivered": f"{figures['delivered']:,} events",
        "cut to fit": f"{figures['trimmed']:,} of them" if figures.get("trimmed") else "",
        f"older than {format_days(figures.get('content_days') or 0)}": (
            f"{figures['numbers_only']:,} of them: numbers only, PostHog deletes content then"
            if figures.get("numbers_only")
            else ""
        ),
        "already delivered": f"{figures['already_delivered']:,} events",
        "failed": f"{figures['failed']:,} events" if figures["failed"] else "",
        "left": f"{figures['left']:,} events" if figures["left"] else "",
        "sent": f"{format_size(figures['sent_bytes'])} ({format_size(figures['sent_gzip_bytes'])} gzip)",
        "requests": f"{figures['requests']:,}"
        + (f" ({format_count(figures['retries'], 'retry')})" if figures["retries"] else ""),
        "without answer": f"{figures['unanswered']:,} events" if figures.get("unanswered") else "",
        "cost covered": _cost_text(figures["cost_usd"], figures["unpriced_calls"]),
        "time": f"{seconds:.1f} s",
    }
    for name, value in rows.items():
        if value:
            table.add_row(name, value)
    console.print(table)


def _select_rows(rows: Collection[Row], by: str, limit: int) -> Collection[Row]:
    """Return the rows to show, in the order of the report; no other session's row is made."""
    if not 0 < limit < len(rows):
        return rows
    if isinstance(rows, Rows):
        return rows.last(limit)
    if by == "day":
        return list(rows)[-limit:]
    return sorted(sorted(rows, key=lambda row: row["cost_usd"])[-limit:], key=lambda row: str(row[by]))


def _table(stacks: list[tuple[ReportColumn, ...]], rows: Collection[Row], figures: dict[str, Any]) -> Table:
    """Lay out the rows and the totals; the columns of a stack stand below each other."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for place, stack in enumerate(stacks):
        table.add_column(
            Text("\n".join(column.heading for column in stack), no_wrap=True, overflow="ellipsis"),
            justify=stack[0].justify,
            no_wrap=place > 0,  # rich shrinks the other columns first: here the first column alone
            max_width=_MAX_WIDTH if place else None,
        )
    for row in rows:
        table.add_row(*(_cell(stack, row) for stack in stacks))
    first, *others = stacks
    totals = Text("total" + "\n" * (len(first) - 1))
    table.add_row(totals, *(_cell(stack, figures, style="") for stack in others), style="bold")
    return table


def _cell(stack: tuple[ReportColumn, ...], row: Row, style: str = "dim") -> Text:
    """Return the texts of a stack, one a line; lines below the first have a style of their own."""
    cell = Text(no_wrap=True, overflow="ellipsis")
    for number, column in enumerate(stack):
        text = column.text(row)
        own = _STATE_STYLES.get(text, "") if column.heading == "state" else style if number else ""
        cell.append("\n" if number else "").append(printable(text[:_MAX_CELL]), own)
    return cell


def _columns(by: str, *, private: bool) -> list[ReportColumn]:
    """Return all columns, in the order of a wide terminal."""
    if by == "session":
        leading = [
            ReportColumn("session", lambda row: _title(row, private=private), "left"),
            ReportColumn("project", lambda row: row.get("project", ""), "left"),
            ReportColumn("when", lambda row: format_start(row.get("started")), "left"),
            ReportColumn("model", _models, "left"),
        ]
    else:
        leading = [
            ReportColumn(by, lambda row: row.get(by, ""), "left"),
            ReportColumn("sessions", lambda row: f"{row['sessions']:,}"),
        ]
    return [*leading, *_NUMBERS]


def _stack(columns: list[ReportColumn], by: str) -> list[tuple[ReportColumn, ...]]:
    """Return the same columns, two above each other where they fit."""
    prompts, calls, tools, given, answered, read, written, cost, state = _NUMBERS
    numbers = [(prompts, _BLANK), (calls, tools), (given, answered), (read, written), (cost, state)]
    if by == "session":
        title, project, moment, model = columns[: -len(_NUMBERS)]
        place = ReportColumn("project, when", lambda row: f"{project.text(row)} · {moment.text(row)}", "left")
        return [(title, place), (model, _BLANK), *numbers]
    sessions = ReportColumn("sessions", lambda row: format_count(row["sessions"], "session"), "left")
    return [(columns[0], sessions), *numbers]


def _title(row: Row, *, private: bool) -> str:
    """Return what a person knows a session by: its name, else the first line of its first prompt."""
    if private:
        return str(row["session"])[:8]
    prompt = (row["first_prompt"] or "")[:_MAX_PROMPT].strip() or "(no prompt)"
    if row["subagent"]:
        return f"{row['subagent']}: {prompt.removeprefix('Task: ')}".splitlines()[0]
    return (str(row["name"] or "")[:_MAX_PROMPT].strip() or prompt).splitlines()[0]


def _models(row: Row) -> str:
    """Return the first model, and how many more there are."""
    models: list[str] = row.get("models") or [""]
    return models[0] + (f" +{len(models) - 1}" if len(models) > 1 else "")


_BLANK = ReportColumn("", lambda row: "")
_NUMBERS = (
    ReportColumn("prompts", lambda row: f"{row['prompts']:,}"),
    ReportColumn("calls", lambda row: f"{row['generations']:,}"),
    ReportColumn("tools", lambda row: f"{row['spans']:,}"),
    ReportColumn("in", lambda row: format_tokens(row["input_tokens"])),
    ReportColumn("out", lambda row: format_tokens(row["output_tokens"])),
    ReportColumn("cache r", lambda row: format_tokens(row["cache_read_tokens"])),
    ReportColumn("cache w", lambda row: format_tokens(row["cache_write_tokens"])),
    ReportColumn("cost", lambda row: format_cost(row["cost_usd"], row["unpriced_calls"])),
    ReportColumn("state", lambda row: row.get("state", "")),
)


def _cost_line(figures: dict[str, Any]) -> str:
    """Return the cost, and which calls it leaves out; the ``+`` in the table stands for them."""
    models = [printable(model[:_MAX_CELL]) for model in figures["unpriced"]["models"][:_MAX_MODELS]]
    if len(figures["unpriced"]["models"]) > _MAX_MODELS:
        models.append("…")
    cost = _cost_text(figures["cost_usd"], figures["unpriced"]["calls"])
    return f"cost: {cost} ({', '.join(models)})"


def _cost_text(dollars: float, unpriced: int) -> str:
    """Return a cost, and how many calls it leaves out."""
    calls = f" + {format_count(unpriced, 'call')} unpriced" if unpriced else ""
    return format_money(dollars) + calls


def _upload_line(figures: dict[str, Any]) -> Text:
    """Return the size of the upload for each input context, the chosen one in bold."""
    line = Text("upload: ")
    for index, (name, count) in enumerate(figures["upload_bytes_by_input_context"].items()):
        line.append(" · " if index else "")
        line.append(f"{name} {format_size(count)}", "bold" if name == figures["input_context"] else "")
    return line.append(f"  in {figures['events']:,} events", "dim")
