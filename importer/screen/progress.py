"""Progress on stderr: bars at a terminal, a log line every few seconds everywhere else."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

from importer.screen.amounts import format_count, format_money, format_size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console, RenderableType
    from rich.progress import Progress as RichProgress

    from importer.plan.progress import Progress
    from importer.screen.console import Screen

_LOG_EVERY_S = 5.0
_DRAW_EVERY_S = 0.1  # the cost of what was sent is added up each time
_ROOM = 3  # characters right of a bar: a terminal echoes ^C there, which else begins another line


class ProgressDisplay:
    """Shows how far an import is, as a context manager that takes its bars away at the end.

    Example::

        with ProgressDisplay(screen) as display:
            make_plan(found, settings, now_ms=now_ms, on_progress=display.show)

    Args:
        screen: where to show it: on stderr, so that stdout holds results only.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._bars: RichProgress | None = None
        self._logged_s = time.monotonic()
        self._drawn_s = 0.0
        self._retry: tuple[str, float] = ("", 0.0)
        self._began_sending_s = 0.0

    def __enter__(self) -> ProgressDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()

    def show(self, progress: Progress) -> None:
        """Show what was read and, once events are to be delivered, what was sent."""
        now_s = time.monotonic()
        if progress.planned:
            self._began_sending_s = self._began_sending_s or now_s
            self._say_retry(progress, now_s)
        if self._screen.live:
            if now_s - self._drawn_s >= _DRAW_EVERY_S:
                self._drawn_s = now_s
                self._draw(progress, now_s)
        elif now_s - self._logged_s >= _LOG_EVERY_S:
            self._logged_s = now_s
            what = f"sent {self._sent(progress, now_s)}" if progress.planned else f"read {_read(progress)}"
            self._screen.say(what)

    def _say_retry(self, progress: Progress, now_s: float) -> None:
        """Say once why the next request waits, and how long."""
        retry = progress.error, progress.retry_at
        if progress.error and retry != self._retry:
            wait = f"; next try in {progress.retry_at - now_s:.1f} s" if progress.retry_at else ""
            self._screen.say(progress.error + wait)
        self._retry = retry

    def _draw(self, progress: Progress, now_s: float) -> None:
        """Draw the bar; the first call puts it on the screen."""
        if self._bars is None:
            # Not earlier: it starts a thread, and worker processes are best forked without one.
            self._bars = _start_bars(self._screen.err)
        (task,) = self._bars.task_ids
        if progress.planned:
            what = "waiting" if progress.error else "sending"
            facts, done, total = self._sent(progress, now_s), progress.bytes, progress.planned_bytes
        else:
            what = "reading"
            facts, done, total = _read(progress), progress.bytes_read, progress.all_bytes
        is_visible = what != "reading" or done < total
        self._bars.update(
            task, description=what, facts=facts, completed=done, total=total, visible=is_visible
        )

    def _sent(self, progress: Progress, now_s: float) -> str:
        """Say what was sent, and how fast."""
        bytes_per_s = progress.bytes / max(now_s - self._began_sending_s, 0.001)
        facts = [
            f"{progress.files}/{progress.all_files} files ({format_size(progress.bytes_read)})",
            f"{progress.delivered:,}/{progress.planned:,} events",
            f"{format_size(bytes_per_s)}/s",
            format_money(progress.cost_usd),
        ]
        return "  ".join([*facts, format_count(progress.retries, "retry")] if progress.retries else facts)


def _read(progress: Progress) -> str:
    """Say what was read."""
    return f"{progress.files:,}/{progress.all_files:,} files  {format_size(progress.bytes_read)}"


def _start_bars(console: Console) -> RichProgress:
    """Start a bar at a terminal; rich's bars are imported only here, because a pipe needs none."""
    from rich.constrain import Constrain
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    class NarrowProgress(RichProgress):
        """Bars that leave room at their right."""

        def get_renderables(self) -> Iterable[RenderableType]:
            """Return rich's own bars, but narrower."""
            width = max(1, console.width - _ROOM)
            return (Constrain(bars, width) for bars in super().get_renderables())

    bars = NarrowProgress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[facts]}"),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        expand=True,
    )
    bars.add_task("reading", facts="", visible=False)
    bars.start()
    return bars
