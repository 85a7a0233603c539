"""`pi2posthog preview`, as a user runs it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from datetime import UTC, datetime

import pytest

from tests.command import SAMPLES, finish, tree
from tests.session_writer import SessionWriter

FILES = sorted(SAMPLES.rglob("*.jsonl"))
STATS = json.loads((SAMPLES / "stats.json").read_text())
TOTALS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cost_usd")
ADDED = ("prompts", "generations", "spans", *TOTALS)
GROUPINGS = ("session", "day", "project", "model")


def test_json_is_one_object_on_stdout_and_nothing_else(command):
    shown = command("preview", SAMPLES, "--json")
    assert (shown.code, shown.err) == (0, "")
    figures = shown.json
    assert {*ADDED, "sessions", "traces", "events", "upload_bytes", "groups"} <= set(figures)
    assert figures["sessions"] == len(figures["groups"]) == len(FILES)
    assert figures["events"] == sum(figures[kind] for kind in ("generations", "spans", "runs", "traces"))
    assert {row["state"] for row in figures["groups"]} == {"new"}
    assert figures["skipped_files"] == figures["warnings"] == []


def test_each_samples_totals_equal_pis_own(command):
    """Only single files of 0.87.1: forks share calls, and 0.73.1 leaves out what was compacted away."""
    whole = [n for n in STATS if n.startswith("0.87.1/") and n.split("/")[1] not in ("fork", "branch")]
    assert len(whole) >= 10
    rows = {row["path"]: row for row in command("preview", SAMPLES, "--json").json["groups"]}
    for name in whole:
        row, said = rows[str(SAMPLES / name)], STATS[name]
        assert row["cost_usd"] == pytest.approx(said["cost"]), name
        kinds = zip(TOTALS, ("input", "output", "cacheRead", "cacheWrite"), strict=False)
        assert all(row[column] == said["tokens"][kind] for column, kind in kinds), name


@pytest.mark.parametrize("by", GROUPINGS)
def test_groups_of_every_kind_add_up(command, by):
    figures = command("preview", SAMPLES, "--json", "--by", by).json
    assert figures["by"] == by
    for name in ADDED:
        assert sum(row[name] for row in figures["groups"]) == pytest.approx(figures[name]), name


@pytest.mark.parametrize("by", ["session", "model"])
def test_the_table_fits_80_columns(command, by):
    shown = command("preview", SAMPLES, "--by", by, COLUMNS="80")
    assert (shown.code, shown.err) == (0, "")
    assert max(len(line) for line in shown.out.splitlines()) <= 80
    assert "total" in shown.out
    assert "upload: full" in shown.out


def test_nothing_but_the_cache_is_written_under_home(command):
    target = command.home / ".pi" / "agent" / "sessions"
    shutil.copytree(SAMPLES / "0.87.1", target)
    before = tree(command.home)
    for arguments in ((), ("--json", "--by", "day")):
        assert command("preview", *arguments).code == 0
    assert command("backfill", "--dry-run").code == 0
    assert {path for path in tree(command.home) if not path.startswith(".cache")} == set(before)
    cached = [path for path in command.home.glob(".cache/pi2posthog/*") if path.is_file()]
    assert [oct(path.stat().st_mode & 0o777) for path in cached] == ["0o600"] * len(cached) != []


def test_no_socket_is_opened(command, server, tmp_path):
    """The interpreter's audit events tell: https://docs.python.org/3/library/audit_events.html."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import sys\n"
        "def watch(event, arguments):\n"
        "    if event.startswith('socket.'):\n"
        "        sys.stderr.write(f'{event} happened\\n')\n"
        "sys.addaudithook(watch)\n"
    )
    path = {"PYTHONPATH": f"{site}{os.pathsep}{command.environment()['PYTHONPATH']}"}
    shown = command("preview", SAMPLES, POSTHOG_API_KEY="phc_x", POSTHOG_HOST="http://127.0.0.1:9", **path)
    assert (shown.code, shown.err) == (0, "")
    tried = command.send(server, SAMPLES / "0.87.1" / "abort", **path)
    assert "socket.connect happened" in tried.err, "the watch sees what backfill does"


def test_pis_own_folder_is_the_default(command, tmp_path):
    for folder, environment in (
        (command.home / ".pi" / "agent" / "sessions", {}),
        (tmp_path / "elsewhere", {"PI_CODING_AGENT_SESSION_DIR": str(tmp_path / "elsewhere")}),
        (tmp_path / "agent" / "sessions", {"PI_CODING_AGENT_DIR": str(tmp_path / "agent")}),
    ):
        SessionWriter(folder / "--home-dev--" / "s.jsonl").turn("x", "y")
        (row,) = command("preview", "--json", **environment).json["groups"]
        assert row["path"].startswith(str(folder))


def test_since_until_and_project_select_sessions(command, tmp_path):
    for month, project in ((1, "shop"), (3, "bank"), (6, "shop")):
        start = datetime(2025, month, 10, 12, tzinfo=UTC)
        path = tmp_path / "s" / f"{month}.jsonl"
        SessionWriter(path, f"s{month}", cwd=f"/home/dev/{project}", start=start).turn("x", "y")

    def chosen(*arguments):
        figures = command("preview", tmp_path / "s", "--json", *arguments).json
        return [row["session"] for row in figures["groups"]], figures["events"]

    assert chosen("--since", "2025-03-10", "--project", "*") == (["s3", "s6"], 6)
    assert chosen("--until", "2025-03-10", "--project", "shop") == (["s1"], 3)
    assert chosen("--since", "2025-02-01", "--until", "2025-04-01T00:00Z") == (["s3"], 3)
    assert chosen("--since", "7d") == ([], 0)


def test_several_paths_count_a_file_once(command):
    tools = SAMPLES / "0.87.1" / "tools"
    figures = command("preview", tools, next(tools.glob("*.jsonl")), tools / ".." / "tools", "--json").json
    assert figures["sessions"] == 1


def test_the_upload_size_follows_the_input_context(command):
    full = command("preview", SAMPLES, "--json").json
    new = command("preview", SAMPLES, "--json", POSTHOG_INPUT_CONTEXT="new").json
    flagged = command(
        "preview", SAMPLES, "--json", "--input-context", "turn", POSTHOG_INPUT_CONTEXT="new"
    ).json
    sizes = full["upload_bytes_by_input_context"]
    assert sizes["full"] > sizes["turn"] > sizes["new"]
    assert [f["upload_bytes"] for f in (full, flagged, new)] == [sizes[c] for c in ("full", "turn", "new")]


def test_preview_says_what_a_backfill_delivered(command, server):
    command.send(server, SAMPLES / "0.87.1" / "tools")
    for key in ({}, {"POSTHOG_API_KEY": server.api_key}):
        figures = command("preview", SAMPLES / "0.87.1", "--json", POSTHOG_HOST=server.url, **key).json
        states = {row["path"].split("/")[-2]: row["state"] for row in figures["groups"]}
        assert states.pop("tools") == "delivered"
        assert set(states.values()) == {"new"}
        assert figures["already_delivered"] == len(server.accepted)
    other = command("preview", SAMPLES, "--json", POSTHOG_HOST="https://eu.i.posthog.com").json
    assert other["already_delivered"] == 0


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_terminal_that_lacks_characters_is_no_reason_to_fail(command, tmp_path, encoding):
    SessionWriter(tmp_path / "s.jsonl").turn("日本語 \U0001f600 …", "y")
    assert command("preview", tmp_path / "s.jsonl", PYTHONIOENCODING=f"{encoding}:strict").code == 0
    shown = command("preview", tmp_path / "s.jsonl", "--json", PYTHONIOENCODING=f"{encoding}:strict")
    assert (shown.code, shown.json["groups"][0]["first_prompt"]) == (0, "日本語 \U0001f600 …")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems allow no such name")
def test_a_file_whose_name_is_no_utf8_is_shown(command, tmp_path):
    folder = os.fsencode(tmp_path / "odd")
    os.mkdir(folder)
    SessionWriter(tmp_path / "s.jsonl").turn("x", "y")
    os.rename(tmp_path / "s.jsonl", folder + b"/s\xff.jsonl")
    with open(folder + b"/t\xff.jsonl", "wb"):
        pass
    shown = command("preview", tmp_path / "odd", "--json")
    assert shown.code == 0
    assert shown.json["groups"][0]["path"].endswith("s\ufffd.jsonl")
    assert shown.json["skipped_files"][0]["path"].endswith("t\ufffd.jsonl")
    assert command("preview", tmp_path / "odd").code == 0


def test_a_reader_that_goes_away_leaves_no_traceback(command):
    process = command.start("preview", SAMPLES, "--json")
    process.stdout.close()
    process.stdout = None
    finish(process)


def test_help_and_version_are_printed(command):
    for arguments in (("--help",), ("preview", "--help"), ("backfill", "-h")):
        shown = command(*arguments)
        assert (shown.code, shown.err) == (0, "")
        assert "Usage: pi2posthog" in shown.out
    shown = command("--version")
    assert (shown.code, shown.out.split()[0]) == (0, "pi2posthog")


def imported(finished):
    """Return the top packages that a command imported, as the interpreter lists them on stderr."""
    lines = (line for line in finished.err.splitlines() if line.startswith("import time:"))
    return {line.rsplit("|", 1)[1].strip().split(".")[0] for line in lines}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["preview", "--help"]])
def test_help_and_version_import_nothing_slow(command, arguments):
    names = imported(command(*arguments, PYTHONPROFILEIMPORTTIME="1"))
    assert "typer" in names
    assert not names & {"pandas", "numpy", "requests", "msgspec", "sqlite3", "watchdog", "parsers"}


@pytest.mark.parametrize("by", GROUPINGS)
def test_a_preview_from_the_cache_imports_no_pandas(command, by):
    first = command("preview", SAMPLES, "--by", by)
    again = command("preview", SAMPLES, "--by", by, PYTHONPROFILEIMPORTTIME="1")
    assert again.out == first.out
    assert not imported(again) & {"pandas", "numpy", "requests"}


def test_a_long_table_shows_its_newest_rows_and_json_all(command, tmp_path):
    for number in range(55):
        start = datetime(2025, 3, 1, 12, number, tzinfo=UTC)
        SessionWriter(tmp_path / "s" / f"{number}.jsonl", str(number), start=start).user(
            f"prompt-{number:02}"
        )
    for _ in range(2):  # counted, then from the cache
        shown = command("preview", tmp_path / "s").out
        assert "prompt-04" not in shown
        assert "prompt-05" in shown
        assert "… and 5 older sessions: --limit 0 shows all, --json lists them" in shown
    assert command("preview", tmp_path / "s", "--limit", "0").out.count("prompt-") == 55
    assert command("preview", tmp_path / "s", "--limit", "1").out.count("prompt-") == 1
    assert len(command("preview", tmp_path / "s", "--json", "--limit", "1").json["groups"]) == 55
