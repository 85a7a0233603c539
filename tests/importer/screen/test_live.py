"""The live view and the log of a watch."""

from __future__ import annotations

import io
import time
from types import SimpleNamespace

import pytest
from rich.console import Console

from importer.plan.progress import Progress
from importer.screen import live
from importer.screen.live import LiveView, WatchLog
from importer.watch.calls import CallTotals, Today
from importer.watch.tail import Activity

NOW_MS = 1_795_446_000_000


class Terminal:
    """A terminal of 100 columns that remembers what was written to it."""

    def __init__(self, *, private=False):
        self.file = io.StringIO()
        console = Console(file=self.file, force_terminal=True, width=100, color_system=None, highlight=False)
        self.view = LiveView(console, private=private)
        self.today, self.progress = Today(), Progress()

    def show(self, *activities):
        """Draw the view, and return what that writes."""
        before = len(self.file.getvalue())
        with self.view:
            self.view.show(activities, self.today, self.progress, NOW_MS)
        return self.file.getvalue()[before:]


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(live, "_REFRESH_S", 0.0)


def activity(**changes):
    values = {
        "project": "shop",
        "model": "mock-1",
        "prompt": "fix the basket",
        "tool": "bash",
        "calls": 3,
        "tokens": 12_345,
        "cost_usd": 0.5,
        "last_ms": NOW_MS - 1000,
    }
    return Activity(**(values | changes))


def test_an_active_session_is_shown_with_what_it_does_and_costs():
    shown = Terminal().show(activity())
    for text in ("shop", "mock-1", "fix the basket", "bash", "12", "$0.50"):
        assert text in shown


def test_the_latest_session_comes_first_and_quiet_ones_are_left_out():
    shown = Terminal().show(
        activity(prompt="older", last_ms=NOW_MS - 60_000),
        activity(prompt="latest"),
        activity(prompt="quiet", last_ms=NOW_MS - live.ACTIVE_MS),
        activity(prompt="", calls=0),
    )
    assert shown.index("latest") < shown.index("older")
    assert "quiet" not in shown


def test_a_prompt_that_waits_for_its_first_answer_is_shown():
    assert "just typed" in Terminal().show(activity(prompt="just typed", calls=0, model="", tool=""))


def test_the_view_says_when_no_session_is_active():
    assert "no session is active" in Terminal().show()


def test_the_view_shows_twelve_sessions_and_counts_the_others():
    shown = Terminal().show(*[activity(prompt=f"prompt {n}", last_ms=NOW_MS - n) for n in range(15)])
    assert "prompt 11" in shown
    assert "prompt 12" not in shown
    assert "and 3 more" in shown


def test_in_privacy_mode_no_prompt_is_shown():
    shown = Terminal(private=True).show(activity(prompt="my secret"))
    assert "secret" not in shown
    assert "(privacy mode)" in shown


def test_control_characters_and_markup_of_a_session_are_not_obeyed():
    shown = Terminal().show(activity(prompt="a\nb\x1b[2Jc [bold]d[/bold]", project="\x1b]0;title\x07"))
    assert "\x1b[2J" not in shown
    assert "\x1b]0" not in shown
    assert "[bold]d[/bold]" in shown
    assert "a b" in shown


def test_a_cost_that_leaves_calls_out_is_marked():
    terminal = Terminal()
    terminal.today = SimpleNamespace(totals=CallTotals(1200, 5_000_000, 12.3, 41))
    shown = terminal.show(activity(cost_usd=2.5, unpriced=1))
    assert "$12.30 + 41 calls unpriced" in shown
    assert "$2.50+" in shown
    assert "$2.50+" not in Terminal().show(activity(cost_usd=2.5))


def test_todays_totals_and_the_delivery_are_shown():
    terminal = Terminal()
    terminal.today = SimpleNamespace(totals=CallTotals(1200, 5_000_000, 12.3))
    terminal.progress = Progress(planned=1507, delivered=1500, last_ms=NOW_MS)
    shown = terminal.show()
    assert "1,200 calls" in shown
    assert "$12.30" in shown
    assert "unpriced" not in shown
    assert "1,500 delivered · 7 waiting · last " in shown


def test_an_error_is_shown_with_the_time_to_the_next_try():
    terminal = Terminal()
    terminal.progress = Progress(error="host answered 503", retry_at=time.monotonic() + 30)
    assert "host answered 503; next try in 30 s" in terminal.show()
    terminal.progress = Progress(error="an event was refused")
    shown = terminal.show()
    assert "an event was refused" in shown
    assert "next try" not in shown


def test_an_unchanged_view_is_not_drawn_again():
    terminal = Terminal()
    with terminal.view:
        for expected in (True, False):
            before = len(terminal.file.getvalue())
            terminal.view.show([activity()], terminal.today, terminal.progress, NOW_MS)
            assert (len(terminal.file.getvalue()) > before) is expected


def test_the_view_is_drawn_at_most_four_times_a_second(monkeypatch):
    monkeypatch.setattr(live, "_REFRESH_S", 3600.0)
    terminal = Terminal()
    with terminal.view:
        terminal.view.show([activity(prompt="one")], terminal.today, terminal.progress, NOW_MS)
        terminal.view.show([activity(prompt="two")], terminal.today, terminal.progress, NOW_MS)
    assert "two" not in terminal.file.getvalue()


def test_a_line_for_the_user_stands_above_the_view():
    terminal = Terminal()
    with terminal.view:
        terminal.view.show([], terminal.today, terminal.progress, NOW_MS)
        terminal.view.say("s.jsonl:3: not JSON [red]")
    assert "s.jsonl:3: not JSON [red]" in terminal.file.getvalue()


def logged(level, *reports):
    lines = []
    log = WatchLog(lines.append, level)
    for progress in reports:
        log.show(progress)
    log.detail("a detail")
    return [line.split(" ", 1)[1] for line in lines]  # without the time


def test_the_log_has_a_line_for_each_batch_and_each_new_error():
    lines = logged(
        1,
        Progress(planned=3, delivered=1),
        Progress(planned=3, delivered=1),
        Progress(planned=3, delivered=1, error="away", retry_at=1.0),
        Progress(planned=3, delivered=1, error="away", retry_at=1.0),
        Progress(planned=3, delivered=3),
        Progress(planned=4, delivered=3, error="away", retry_at=1.0),
    )
    assert lines == [
        "delivered 1 event, 2 waiting",
        "away; trying again",
        "delivered 2 events, 0 waiting",
        "away; trying again",
    ]


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (0, ["away; trying again"]),
        (1, ["away; trying again", "delivered 1 event, 0 waiting"]),
        (2, ["away; trying again", "delivered 1 event, 0 waiting", "a detail"]),
    ],
)
def test_a_higher_level_logs_more(level, expected):
    assert logged(level, Progress(error="away", retry_at=1.0), Progress(planned=1, delivered=1)) == expected


def test_a_refused_event_is_not_announced_as_a_retry():
    progress = Progress(planned=1, failed=1, error="$ai_span 1234 not delivered: too large")
    assert logged(0, progress) == ["$ai_span 1234 not delivered: too large"]
