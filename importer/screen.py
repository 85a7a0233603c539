"""Where results and progress go: the two streams of a command."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console

from importer.quoting import printable, without_controls

if TYPE_CHECKING:
    from importer.progress import Display


class Screen:
    """Where results (stdout) and progress (stderr) go."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.out = Console(highlight=False)
        self.err = Console(stderr=True, highlight=False)
        self.as_json = as_json
        self.live = not as_json and self.out.is_terminal and self.err.is_terminal

    def display(self) -> Display:
        """A progress display; log lines where stdout is no terminal."""
        from importer.progress import Display

        return Display(self.err, live=self.live)

    def warn(self, line: str) -> None:
        """One line on stderr."""
        self.err.print(printable(line), markup=False, soft_wrap=True)

    def result(self, figures: dict[str, Any]) -> None:
        """The figures as one JSON object on stdout."""
        text = msgspec.json.format(msgspec.json.encode(figures), indent=2)
        sys.stdout.buffer.write(without_controls(text) + b"\n")
