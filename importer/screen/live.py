"""What a running watch shows: a live view at a terminal, log lines everywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from importer.plan.progress import Progress
from importer.quoting import printable
from importer.screen.amounts import format_cost, format_count, format_money, format_tokens
from importer.watch.calls import Today
from importer.watch.tail import Activity

ACTIVE_MS = 15 * 60_000  # how long a session counts as active after its last line
_MAX_ROWS = 12
_MAX_CELL = 400  # characters of a cell that rich has to measure
_MAX_PROMPT = 4000  # characters of a prompt whose blanks are joined
_REFRESH_S = 0.25


class LiveView:
    """The view of a watch at a terminal: active sessions, today's totals, and the delivery.

    Example::

        with LiveView(Console(stderr=True), private=False) as view:
            view.show(activities, today, sender.progress, now_ms)

    Args:
        console: the terminal.
        private: hide prompts.
    """

    def __init__(self, console: Console, *, private: bool) -> None:
        self._private = private
        self._drawn_s = 0.0
        self._shown: object = None
        self._live = Live(console=console, auto_refresh=False, transient=False)

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, activities: Iterable[Activity], today: Today, progress: Progress, now_ms: int) -> None:
        """Draw the view, at most four times a second, and only if something has changed.

        Args:
            activities: what happens in each session, in any order.
            today: the totals of the day.
            progress: how far the delivery is.
            now_ms: the time, in ms since the epoch.
        """
        now_s = time.monotonic()
        if now_s - self._drawn_s < _REFRESH_S:
            return
        active = sorted(
            (a for a in activities if (a.calls or a.prompt) and now_ms - a.last_ms < ACTIVE_MS),
            key=lambda activity: -activity.last_ms,
        )
        retry_s = max(0, round(progress.retry_at - now_s)) if progress.error else 0
        shown = (
            [(a.last_ms, a.calls, a.tool, a.prompt) for a in active],
            today.totals,
            (progress.delivered, progress.left, progress.error, retry_s),
        )
        if shown != self._shown:
            self._shown, self._drawn_s = shown, now_s
            parts = [self._sessions(active), Text(), _today_line(today), _delivery_line(progress, retry_s)]
            self._live.update(Group(*parts), refresh=True)

    def say(self, line: str) -> None:
        """Print one line above the view."""
        self._live.console.print(_plain(line), soft_wrap=True)

    def _sessions(self, active: list[Activity]) -> RenderableType:
        if not active:
            return Text("no session is active", "dim")
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold", expand=True)
        table.add_column("prompt", ratio=1, no_wrap=True, overflow="ellipsis")
        for heading in ("project", "model", "tool"):
            table.add_column(heading, no_wrap=True, overflow="ellipsis", max_width=16)
        for heading in ("calls", "tokens", "cost"):
            table.add_column(heading, no_wrap=True, justify="right")
        for activity in active[:_MAX_ROWS]:
            words = activity.prompt[:_MAX_PROMPT].split()
            prompt = "(privacy mode)" if self._private else " ".join(words)
            texts = (prompt, activity.project, activity.model, activity.tool)
            table.add_row(
                *(_plain(text[:_MAX_CELL]) for text in texts),
                f"{activity.calls:,}",
                format_tokens(activity.tokens),
                format_cost(activity.cost_usd, activity.unpriced),
            )
        if len(active) > _MAX_ROWS:
            table.caption = f"and {len(active) - _MAX_ROWS} more"
        return table


class WatchLog:
    """The log of a watch: a line for each batch that was delivered and for each new error.

    Args:
        write: takes a line.
        level: 0 for errors only, 1 for batches, too, 2 for everything.
    """

    def __init__(self, write: Callable[[str], None], level: int) -> None:
        self._write = write
        self._level = level
        self._delivered = 0
        self._error = ""

    def show(self, progress: Progress) -> None:
        """Log what has changed in the delivery."""
        if progress.error and progress.error != self._error:
            self.say(f"{progress.error}; trying again" if progress.retry_at else progress.error)
        self._error = progress.error
        if progress.delivered > self._delivered:
            if self._level >= 1:
                count = progress.delivered - self._delivered
                self.say(f"delivered {format_count(count, 'event')}, {progress.left} waiting")
            self._delivered = progress.delivered

    def detail(self, line: str) -> None:
        """Log a line at level 2 only."""
        if self._level >= 2:
            self.say(line)

    def say(self, line: str) -> None:
        """Log a line at any level."""
        self._write(f"{datetime.now().astimezone():%H:%M:%S} {line}")


def _plain(text: str) -> Text:
    """Return text from a file for a terminal: without markup and control characters."""
    return Text(printable(text))


def _today_line(today: Today) -> Text:
    sums = today.totals
    counts = f"{sums.calls:,} calls · {format_tokens(sums.tokens)} tokens · {format_money(sums.cost_usd)}"
    if sums.unpriced:
        counts += f" + {format_count(sums.unpriced, 'call')} unpriced"
    return Text.assemble(("today     ", "bold"), counts)


def _delivery_line(progress: Progress, retry_s: int) -> Text:
    """Return what was delivered, what waits, and why."""
    counts = f"{progress.delivered:,} delivered · {progress.left:,} waiting"
    line = Text.assemble(("delivery  ", "bold"), counts)
    if progress.last_ms:
        line.append(f" · last {datetime.fromtimestamp(progress.last_ms / 1000).astimezone():%H:%M:%S}")
    if progress.error:
        retry = f"; next try in {retry_s} s" if retry_s else ""
        line.append("\n").append(printable(progress.error + retry), "yellow")
    return line
