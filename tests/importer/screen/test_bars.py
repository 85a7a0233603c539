from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from importer.screen.bars import Bars


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_bars_leave_room_for_an_echoed_interrupt(width):
    screen = io.StringIO()
    bars = Bars(Console(file=screen, width=width, force_terminal=True, legacy_windows=False))
    bars.reading("1/2 files", 1, 2)
    bars.sending("1/2 events", 1, 2, waits=False)
    bars.stop()
    shown = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "\n", screen.getvalue()).replace("\r", "\n")
    lines = [line for line in shown.splitlines() if line.strip()]
    assert any("reading" in line for line in lines)
    assert max(map(len, lines)) <= width - len("^C")
