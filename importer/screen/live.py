"""The screen of the live tail: active sessions, today's totals, and how delivery is doing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from importer.quoting import printable
from importer.screen.amounts import money, tokens
from importer.watch.calls import Today
from importer.watch.sender import SenderState
from importer.watch.tail import Activity

ACTIVE_MS = 15 * 60_000
_ROWS = 12
_LONGEST = 400  # characters of a cell
_LONGEST_WORDS = 4000  # of a prompt, before its blanks go
_REFRESH_S = 0.25


class Screen:
    """Shows a watcher at a terminal; draws only when something has changed.

    Args:
        console: the terminal.
        private: whether prompts are hidden.
    """

    def __init__(self, console: Console, *, private: bool) -> None:
        self._private = private
        self._drawn_s = 0.0
        self._shown: object = None
        self._live = Live(console=console, auto_refresh=False, transient=False)

    def __enter__(self) -> Screen:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, activities: Iterable[Activity], today: Today, state: SenderState, now_ms: int) -> None:
        """Draw the screen, at most four times a second, and not at all if it would look the same."""
        now_s = time.monotonic()
        if now_s - self._drawn_s < _REFRESH_S:
            return
        active = sorted(
            (a for a in activities if (a.calls or a.prompt) and now_ms - a.last_ms < ACTIVE_MS),
            key=lambda activity: -activity.last_ms,
        )
        retry_s = max(0, round(state.retry_at - now_s)) if state.error else 0
        shown = (
            [(a.last_ms, a.calls, a.tool, a.prompt) for a in active],
            today.totals,
            (state.delivered, state.waiting, state.error, retry_s),
        )
        if shown != self._shown:
            self._shown, self._drawn_s = shown, now_s
            parts = [self._sessions(active), Text(), today_line(today), delivery_line(state, retry_s)]
            self._live.update(Group(*parts), refresh=True)

    def say(self, line: str) -> None:
        """Print one line above the view."""
        self._live.console.print(plain(line), soft_wrap=True)

    def _sessions(self, active: list[Activity]) -> RenderableType:
        if not active:
            return Text("no session is active", "dim")
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold", expand=True)
        table.add_column("prompt", ratio=1, no_wrap=True, overflow="ellipsis")
        for heading in ("project", "model", "tool"):
            table.add_column(heading, no_wrap=True, overflow="ellipsis", max_width=16)
        for heading in ("calls", "tokens", "cost"):
            table.add_column(heading, no_wrap=True, justify="right")
        for activity in active[:_ROWS]:
            words = activity.prompt[:_LONGEST_WORDS].split()
            prompt = "(privacy mode)" if self._private else " ".join(words)
            shown = (prompt, activity.project, activity.model, activity.tool)
            table.add_row(
                *(plain(each[:_LONGEST]) for each in shown),
                f"{activity.calls:,}",
                tokens(activity.tokens),
                money(activity.cost_usd),
            )
        if len(active) > _ROWS:
            table.caption = f"and {len(active) - _ROWS} more"
        return table


def plain(text: str) -> Text:
    """Text from a file: never markup, no control characters."""
    return Text(printable(text))


def today_line(today: Today) -> Text:
    """Today's totals over all sessions that were read."""
    sums = today.totals
    line = Text.assemble(("today     ", "bold"), f"{sums.calls:,} calls · {tokens(sums.tokens)} tokens · ")
    return line.append(money(sums.cost_usd))


def delivery_line(state: SenderState, retry_s: int) -> Text:
    """What was delivered, what waits, and why."""
    line = Text.assemble(("delivery  ", "bold"), f"{state.delivered:,} delivered · {state.waiting:,} waiting")
    if state.last_ms:
        line.append(f" · last {datetime.fromtimestamp(state.last_ms / 1000).astimezone():%H:%M:%S}")
    if state.error:
        retry = f"; next try in {retry_s} s" if retry_s else ""
        line.append("\n").append(printable(state.error + retry), "yellow")
    return line


class Log:
    """Shows a watcher as log lines: one for each batch that was delivered, and one for each new error.

    Args:
        write: takes a line.
        level: 0 only errors, 1 batches, 2 also what is read.
    """

    def __init__(self, write: Callable[[str], None], level: int) -> None:
        self._write = write
        self._level = level
        self._delivered = 0
        self._error = ""

    def show(self, state: SenderState) -> None:
        """Log what has changed in the delivery."""
        if state.error and state.error != self._error:
            self.say(f"{state.error}; trying again" if state.retry_at else state.error)
        self._error = state.error
        if state.delivered > self._delivered:
            if self._level >= 1:
                count = state.delivered - self._delivered
                self.say(f"delivered {count} event{'s' if count != 1 else ''}, {state.waiting} waiting")
            self._delivered = state.delivered

    def detail(self, line: str) -> None:
        """Log a line that only interests at the highest level."""
        if self._level >= 2:
            self.say(line)

    def say(self, line: str) -> None:
        """Log a line at any level."""
        self._write(f"{datetime.now().astimezone():%H:%M:%S} {line}")
