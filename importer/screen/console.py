"""The two streams of a command: results go to stdout, progress and warnings to stderr."""

from __future__ import annotations

import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any

from importer.plan.rows import json_parts
from importer.quoting import printable, printable_json

if TYPE_CHECKING:
    from rich.console import Console


class Screen:
    """Where a command shows its results (stdout) and its progress (stderr).

    rich is imported when there is something to show.

    Example::

        screen = Screen(as_json=True)
        screen.warn("s.jsonl:3: not JSON, line skipped")
        screen.result({"events": 2})

    Args:
        as_json: whether the result is a JSON object, and nobody watches.
    """

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
        """Whether a person watches both streams."""
        return not self.as_json and self.out.is_terminal and self.err.is_terminal

    def warn(self, line: str) -> None:
        """Print a line on stderr, its control characters as escape sequences."""
        self.say(printable(line))

    def say(self, line: str) -> None:
        """Print a line without control characters on stderr, above the bars if there are any."""
        self.err.print(line, markup=False, soft_wrap=True)

    def result(self, figures: dict[str, Any]) -> None:
        """Print figures as one JSON object on stdout, with escapes for what a terminal may obey or hide."""
        for part in json_parts(figures):
            sys.stdout.buffer.write(printable_json(part))
        sys.stdout.buffer.write(b"\n")
