"""Progress as bars at a terminal; importing this imports rich's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

_ROOM = 3  # columns


@dataclass
class _Narrower:
    """Something shown with room at its right."""

    inner: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from console.render(self.inner, options.update_width(max(1, options.max_width - _ROOM)))


class _Progress(Progress):
    """Bars that leave room: behind a full line, the ^C that a terminal echoes would begin another line."""

    def get_renderables(self) -> Iterable[RenderableType]:
        """As of any progress, but narrower."""
        return map(_Narrower, super().get_renderables())


class Bars:
    """A bar each for the reading and the sending, shown once there is something to show.

    Args:
        console: where to.
    """

    def __init__(self, console: Console) -> None:
        self._progress = _Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[facts]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            expand=True,
        )
        self._reading = self._progress.add_task("reading", facts="", visible=False)
        self._sending = self._progress.add_task("sending", facts="", visible=False)
        self._progress.start()

    def reading(self, facts: str, done: int, total: int) -> None:
        """How many bytes were read; at the end of them the bar goes."""
        self._progress.update(self._reading, total=total, completed=done, facts=facts, visible=done < total)

    def sending(self, facts: str, done: int, total: int, *, waits: bool) -> None:
        """How many bytes were sent, and whether the next request waits."""
        what = "waiting" if waits else "sending"
        self._progress.update(
            self._sending, total=total, completed=done, facts=facts, visible=True, description=what
        )

    def stop(self) -> None:
        """Take the bars from the screen."""
        self._progress.stop()
