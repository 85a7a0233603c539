"""Progress on the screen: live bars at a terminal, plain log lines everywhere else."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from importer.tables import money, size

if TYPE_CHECKING:
    from importer.backfill import Outcome
    from importer.plan import Progress as Reading

_LOG_EVERY_S = 5.0


class Display:
    """Shows how far the reading and the delivery are.

    Args:
        console: where to show it (stderr, so that stdout holds results only).
        live: whether to draw bars; otherwise a log line every few seconds.
        quiet: show nothing at all.
    """

    def __init__(self, console: Console, *, live: bool, quiet: bool = False) -> None:
        self._console = console
        self._live = live
        self._quiet = quiet
        self._logged_s = time.monotonic()
        self._retry = ""
        self._started_s = 0.0
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[facts]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not live or quiet,
            expand=True,
        )
        self._reading = self._bars.add_task("reading", facts="", visible=False)
        self._sending = self._bars.add_task("sending", facts="", visible=False)

    def __enter__(self) -> Display:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def reading(self, progress: Reading) -> None:
        """Show how many files and bytes were read."""
        self._bars.start()  # not before: it starts a thread, and worker processes are best forked without
        facts = f"{progress.files:,}/{progress.all_files:,} files  {size(progress.bytes)}"
        self._bars.update(
            self._reading,
            total=progress.all_bytes,
            completed=progress.bytes,
            facts=facts,
            visible=progress.files < progress.all_files,
        )
        self._log(f"read {facts}")

    def sending(self, outcome: Outcome) -> None:
        """Show how much was delivered."""
        self._bars.start()
        now_s = time.monotonic()
        self._started_s = self._started_s or now_s
        speed = outcome.bytes / max(now_s - self._started_s, 0.001)
        retries = outcome.counters.retries
        facts = (
            f"{outcome.files}/{outcome.planned_files} files ({size(outcome.bytes_read)})  "
            f"{outcome.delivered:,}/{outcome.planned:,} events  {size(speed)}/s  {money(outcome.cost_usd)}"
            + (f"  {retries} retries" if retries else "")
        )
        self._bars.update(
            self._sending,
            total=outcome.planned_bytes,
            completed=outcome.bytes,
            facts=facts,
            visible=True,
            description="waiting" if outcome.retry else "sending",
        )
        if outcome.retry and outcome.retry != self._retry:
            self.say(outcome.retry)
        self._retry = outcome.retry
        self._log(f"sent {facts}")

    def say(self, line: str) -> None:
        """Print one line above the bars."""
        if not self._quiet:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _log(self, line: str) -> None:
        now_s = time.monotonic()
        if not self._live and now_s - self._logged_s >= _LOG_EVERY_S:
            self._logged_s = now_s
            self.say(line)
