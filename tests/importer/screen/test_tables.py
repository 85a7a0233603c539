"""The tables of preview and backfill, and amounts in words."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime

import pytest
from rich.cells import cell_len
from rich.console import Console

from importer.commands.request import GROUPINGS
from importer.plan.plan import Selection, make_plan
from importer.plan.report import make_report
from importer.plan.rows import Rows
from importer.screen.amounts import (
    format_count,
    format_duration,
    format_money,
    format_size,
    format_start,
    format_tokens,
)
from importer.screen.tables import WIDE, show_report, show_summary
from importer.sessions.discovery import find_sessions
from importer.settings import Settings
from tests.building import NOW_MS
from tests.command import SAMPLES
from tests.session_writer import SessionWriter, usage

HEADINGS = ("prompts", "calls", "tools", "in", "out", "cache r", "cache w", "cost", "state")


def shown(path, by="session", width=80, *, private=False, limit=0):
    settings = Settings(privacy_mode=private)
    plan = make_plan(find_sessions([path]), settings, now_ms=NOW_MS)
    screen = io.StringIO()
    figures = make_report(plan, settings, by, Selection())
    show_report(Console(file=screen, width=width), figures, private=private, limit=limit)
    return screen.getvalue()


@pytest.mark.parametrize("by", GROUPINGS)
@pytest.mark.parametrize("width", [80, 100, 119, 120, 200])
def test_no_column_is_lost_and_no_line_too_long_at_any_width(by, width):
    table = shown(SAMPLES, by, width)
    assert max(len(line) for line in table.splitlines()) <= width
    head = table[: table.index("upload:")]
    for heading in HEADINGS:
        assert re.search(rf"\b{heading}\b", head), heading
    assert "total" in table
    assert "…" not in head.splitlines()[0]


def test_the_totals_and_the_size_of_every_context_are_shown():
    table = shown(SAMPLES)
    assert re.search(r"total\s+\d+\s+\d+ +[\d.]+k\s+[\d.]+k \$0\.\d{4}", table)
    assert re.search(r"upload: full [\d.]+ kB · turn [\d.]+ kB · new [\d.]+ kB +in [\d,]+ events", table)


def test_colours_change_nothing_but_colours(tmp_path):
    SessionWriter(tmp_path / "s.jsonl").turn("größer als 好", "done")
    plan = make_plan(find_sessions([tmp_path]), Settings(), now_ms=NOW_MS)
    figures = make_report(plan, Settings(), "session", Selection())
    screen = io.StringIO()
    terminal = Console(file=screen, width=80, force_terminal=True, color_system="standard", no_color=False)
    show_report(terminal, figures, private=False, limit=0)
    painted = screen.getvalue()
    assert re.search(r"\x1b\[36m *new\x1b\[0m", painted)
    assert "\x1b[1msession" in painted
    assert re.sub(r"\x1b\[[\d;]*m", "", painted) == shown(tmp_path)


def test_a_row_names_prompt_project_date_and_model(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl", start=datetime(2025, 3, 1, 12, tzinfo=UTC))
    story.turn("find the bug\nand more", "done")
    table = shown(tmp_path, width=140)
    assert "find the bug" in table
    assert "and more" not in table
    for word in ("shop", "2025-03-01", "mock-1", "$0.0006", "new"):
        assert word in table
    story.entry("session_info", name="Bug hunt")
    assert "Bug hunt" in shown(tmp_path)
    assert "find the bug" not in shown(tmp_path)


@pytest.mark.parametrize("prompt", ["word " * 100, "x" * 500, "好" * 300, "größer " * 90])
@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_first_column_takes_the_room_and_ends_in_an_ellipsis(tmp_path, prompt, width):
    SessionWriter(tmp_path / "s.jsonl").turn(prompt, "done")
    row = shown(tmp_path, width=width).splitlines()[1 if width >= WIDE else 2]
    assert width - 1 <= cell_len(row) <= width
    assert row.startswith(prompt[:10])
    assert "…" in row


def test_other_columns_are_at_most_18_wide(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl", cwd=f"/home/dev/{'p' * 40}")
    story.turn("x", "done", model="m" * 40)
    row = shown(tmp_path, width=200).splitlines()[1]
    assert f"{'p' * 17}… " in row
    assert f"{'m' * 17}… " in row


def test_a_very_narrow_terminal_loses_no_column():
    table = shown(SAMPLES, width=30)
    assert table.splitlines()[0].split() == [
        "session",
        "model",
        "prompts",
        "calls",
        "in",
        "cache",
        "r",
        "cost",
    ]


def test_privacy_mode_shows_the_sessions_id_instead(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl", "0195500a-77")
    story.turn("a secret plan", "done")
    table = shown(tmp_path, private=True)
    assert "secret" not in table
    assert "0195500a" in table


def test_a_name_cannot_control_the_terminal(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.turn("\x1b[2J\x07[bold red]x[/] [link=http://evil]y", "done")
    table = shown(tmp_path, width=200)
    assert "\x1b" not in table
    assert "\x07" not in table
    assert "[bold red]x[/]" in table, "markup is shown, not obeyed"


def test_a_session_without_a_prompt_has_a_row_too(tmp_path):
    SessionWriter(tmp_path / "s.jsonl")
    assert "(no prompt)" in shown(tmp_path)
    SessionWriter(tmp_path / "t.jsonl", "t").turn("\n \n", "done")
    assert shown(tmp_path).count("(no prompt)") == 2


def test_further_models_are_counted(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    for model in ("mock-1", "mock-2", "mock-3"):
        story.turn("x", "y", model=model)
    assert "mock-1 +2" in shown(tmp_path)


def test_an_empty_table_has_totals(tmp_path):
    assert "total" in shown(tmp_path)


def report_of(folder, by, sessions=7):
    """Make a report of sessions that began a day after each other, each costlier and in its own project."""
    for number in range(sessions):
        start = datetime(2025, 3, 1 + number, 12, tzinfo=UTC)
        story = SessionWriter(folder / f"{number}.jsonl", str(number), start=start, cwd=f"/dev/p{number}")
        story.turn(f"prompt {number}", "done", model=f"m{number}", usage=usage(input=100 * (number + 1)))
    plan = make_plan(find_sessions([folder]), Settings(), now_ms=NOW_MS)
    return make_report(plan, Settings(), by, Selection())


def printed(figures, limit):
    screen = io.StringIO()
    show_report(Console(file=screen, width=200), figures, private=False, limit=limit)
    return screen.getvalue()


def test_a_limited_table_shows_the_newest_sessions_and_counts_the_others(tmp_path):
    figures = report_of(tmp_path, "session")
    table = printed(figures, 3)
    assert re.findall(r"prompt \d", table) == ["prompt 4", "prompt 5", "prompt 6"]
    assert "\n… and 4 older sessions: --limit 0 shows all, --json lists them\n" in table
    for limit in (0, 7, 50):
        assert re.findall(r"prompt \d", printed(figures, limit)) == [f"prompt {n}" for n in range(7)]
        assert "…" not in printed(figures, limit)


def test_the_totals_of_a_limited_table_are_over_all_rows(tmp_path):
    figures = report_of(tmp_path, "session")
    (limited,), (whole,) = (re.findall(r"^total .*", printed(figures, n), re.MULTILINE) for n in (2, 0))
    assert limited.split() == whole.split()


def test_only_rows_that_are_shown_are_made():
    made = []

    def make(places):
        for place in places:
            made.append(place)
            yield row | {"session": str(place)}

    numbers = dict.fromkeys(("prompts", "generations", "spans", "events", "cost_usd", "unpriced_calls"), 0)
    numbers |= {f"{kind}_tokens": 0 for kind in ("input", "output", "cache_read", "cache_write")}
    row = numbers | {"name": None, "first_prompt": "x", "subagent": None, "state": "new"}
    upload = {"upload_bytes_by_input_context": {"full": 1}, "input_context": "full", "numbers_only": 0}
    figures = numbers | upload | {"by": "session", "groups": Rows(range(100_000), make)}
    figures["unpriced"] = {"calls": 0, "models": []}
    assert "and 99,950 older sessions" in printed(figures, 50)
    assert made == list(range(99_950, 100_000))


@pytest.mark.parametrize(
    ("by", "shown_rows", "left"),
    [
        ("day", ["2025-03-06", "2025-03-07"], "5 older days"),
        ("project", ["p5", "p6"], "5 cheaper projects"),
        ("model", ["m5", "m6"], "5 cheaper models"),
    ],
)
def test_other_groups_are_limited_to_the_newest_or_the_costliest(tmp_path, by, shown_rows, left):
    table = printed(report_of(tmp_path, by), 2)
    assert [line.split()[0] for line in table.splitlines()[1:3]] == shown_rows
    assert f"and {left}: --limit 0 shows all" in table


def summary(**figures):
    zeros = dict.fromkeys(("delivered", "already_delivered", "failed", "left", "sent_bytes"), 0)
    zeros |= dict.fromkeys(("sent_gzip_bytes", "requests", "retries", "cost_usd", "unpriced_calls"), 0)
    screen = io.StringIO()
    show_summary(Console(file=screen, width=80), zeros | figures, 12.34)
    return screen.getvalue()


def test_the_summary_counts_events_bytes_and_time():
    said = summary(delivered=1234, already_delivered=5, sent_bytes=2_400_000, sent_gzip_bytes=130_000)
    for words in ("1,234 events", "5 events", "2.4 MB (130.0 kB gzip)", "12.3 s", "$0.00"):
        assert words in said
    for words in ("failed", "left", "retries", "unpriced"):
        assert words not in said


def test_the_summary_says_how_many_calls_its_cost_leaves_out():
    assert "$12.30 + 41 calls unpriced" in summary(delivered=50, cost_usd=12.3, unpriced_calls=41)
    assert "$0.00 + 1 call unpriced" in summary(delivered=50, unpriced_calls=1)


def test_the_summary_counts_failed_and_left_events():
    said = summary(failed=2, left=30, requests=7, retries=3, cost_usd=1234.5)
    for words in ("failed", "2 events", "left", "30 events", "7 (3 retries)", "$1,234.50"):
        assert words in said


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2_400_000, "2.4 MB"), (5e12, "5000.0 GB")],
)
def test_sizes_have_a_decimal_unit(count, text):
    assert format_size(count) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (999, "999"), (1000, "1.0k"), (12_345, "12.3k"), (4.5e6, "4.5M"), (2e9, "2.0G")],
)
def test_tokens_have_a_short_unit(count, text):
    assert format_tokens(count) == text


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [(0, "file", "0 files"), (1, "file", "1 file"), (1234, "file", "1,234 files"), (2, "retry", "2 retries")],
)
def test_a_count_has_its_plural(count, noun, text):
    assert format_count(count, noun) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(90, "90 seconds"), (302, "5 minutes"), (7200, "2 hours"), (3 * 86_400, "3 days")]
)
def test_a_duration_has_the_largest_unit_that_fits_twice(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("dollars", "text"),
    [(0, "$0.00"), (0.00183, "$0.0018"), (0.5, "$0.5000"), (1, "$1.00"), (1e6, "$1,000,000.00")],
)
def test_less_than_a_dollar_has_four_digits(dollars, text):
    assert format_money(dollars) == text


def test_a_time_shows_its_year_only_if_it_is_another():
    this_year = datetime.now().astimezone().replace(month=3, day=4, hour=5, minute=6)
    assert format_start(this_year.isoformat()) == "03-04 05:06"
    assert format_start("2001-03-04T12:00:00Z") == "2001-03-04"
    assert format_start(None) == ""
