"""Progress as bars and as log lines."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from importer.plan.progress import Progress
from importer.screen import progress as module
from importer.screen.console import Screen
from importer.screen.progress import ProgressDisplay

READING = Progress(files=1, all_files=2, bytes_read=1, all_bytes=2)
SENDING = Progress(files=1, all_files=2, planned=2, delivered=1, planned_bytes=2, bytes=1)


def written(*reports, live, width=120):
    """Show some reports of progress, and return what that writes."""
    screen, file = Screen(), io.StringIO()
    screen.live = live
    screen.err = Console(file=file, width=width, force_terminal=live, legacy_windows=False)
    with ProgressDisplay(screen) as display:
        for report in reports:
            display.show(report)
    return file.getvalue()


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_bars_leave_room_for_an_echoed_interrupt(width):
    for report in (READING, SENDING):
        shown = written(report, live=True, width=width)
        shown = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "\n", shown).replace("\r", "\n")
        lines = [line for line in shown.splitlines() if line.strip()]
        assert any("reading" in line for line in lines) or report is SENDING
        assert max(map(len, lines)) <= width - len("^C")


def test_a_pipe_gets_a_line_every_few_seconds(monkeypatch):
    assert written(READING, SENDING, live=False) == ""
    monkeypatch.setattr(module, "_LOG_EVERY_S", 0.0)
    assert written(READING, live=False) == "read 1/2 files  1 B\n"
    assert written(SENDING, live=False).startswith("sent 1/2 files (0 B)  1/2 events  ")


def test_a_reason_to_wait_is_said_once():
    waiting = Progress(planned=2, error="host answered 503; next try in 2.0 s")
    assert written(SENDING, waiting, waiting, SENDING, live=False) == f"{waiting.error}\n"
    again = written(waiting, SENDING, waiting, live=False)
    assert again == f"{waiting.error}\n" * 2
