"""Where results and progress go: the two streams of a command."""

from __future__ import annotations

import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any

from importer.plan.rows import json_parts
from importer.quoting import printable, without_controls

if TYPE_CHECKING:
    from rich.console import Console

    from importer.screen.progress import ProgressDisplay


class Screen:
    """Where results (stdout) and progress (stderr) go; rich is imported when there is something to show."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json

    @cached_property
    def out(self) -> Console:
        """The console for results."""
        from rich.console import Console

        return Console(highlight=False)

    @cached_property
    def err(self) -> Console:
        """The console for progress and warnings."""
        from rich.console import Console

        return Console(stderr=True, highlight=False)

    @cached_property
    def live(self) -> bool:
        """Whether a person watches both of them."""
        return not self.as_json and self.out.is_terminal and self.err.is_terminal

    def display(self) -> ProgressDisplay:
        """A progress display; log lines where stdout is no terminal."""
        from importer.screen.progress import ProgressDisplay

        return ProgressDisplay(self)

    def warn(self, line: str) -> None:
        """One line on stderr."""
        self.say(printable(line))

    def say(self, line: str) -> None:
        """One line on stderr that can be printed as it is; above the bars, where there are some."""
        self.err.print(line, markup=False, soft_wrap=True)

    def result(self, figures: dict[str, Any]) -> None:
        """The figures as one JSON object on stdout."""
        for part in json_parts(figures):
            sys.stdout.buffer.write(without_controls(part))
        sys.stdout.buffer.write(b"\n")
