"""Progress on the screen: live bars at a terminal, plain log lines everywhere else."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

from importer.screen.amounts import money, size

if TYPE_CHECKING:
    from importer.deliver.backfill import Outcome
    from importer.plan.plan import Progress as Reading
    from importer.screen.bars import Bars
    from importer.screen.console import Screen

_LOG_EVERY_S = 5.0


class Display:
    """Shows how far the reading and the delivery are; use it as a context manager.

    Args:
        screen: where to show it: on stderr, so that stdout holds results only.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._bars: Bars | None = None
        self._logged_s = time.monotonic()
        self._retry = ""
        self._started_s = 0.0

    def __enter__(self) -> Display:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()

    def _shown(self) -> Bars:
        """The bars, on the screen from now on."""
        if self._bars is None:
            # Not before they are needed: they start a thread, and worker processes are best forked without.
            from importer.screen.bars import Bars

            self._bars = Bars(self._screen.err)
        return self._bars

    def reading(self, progress: Reading) -> None:
        """Show how many files and bytes were read."""
        facts = f"{progress.files:,}/{progress.all_files:,} files  {size(progress.bytes)}"
        if self._screen.live:
            self._shown().reading(facts, progress.bytes, progress.all_bytes)
        else:
            self._log(f"read {facts}")

    def sending(self, outcome: Outcome) -> None:
        """Show how much was delivered."""
        now_s = time.monotonic()
        self._started_s = self._started_s or now_s
        speed = outcome.bytes / max(now_s - self._started_s, 0.001)
        retries = outcome.counters.retries
        facts = (
            f"{outcome.files}/{outcome.planned_files} files ({size(outcome.bytes_read)})  "
            f"{outcome.delivered:,}/{outcome.planned:,} events  {size(speed)}/s  {money(outcome.cost_usd)}"
            + (f"  {retries} retries" if retries else "")
        )
        if self._screen.live:
            self._shown().sending(facts, outcome.bytes, outcome.planned_bytes, waits=bool(outcome.retry))
        if outcome.retry and outcome.retry != self._retry:
            self._screen.say(outcome.retry)
        self._retry = outcome.retry
        if not self._screen.live:
            self._log(f"sent {facts}")

    def _log(self, line: str) -> None:
        now_s = time.monotonic()
        if now_s - self._logged_s >= _LOG_EVERY_S:
            self._logged_s = now_s
            self._screen.say(line)
