"""The doctor's checks of settings, sessions and ledger, and what it never shows or changes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from importer.ledger.ledger import Ledger
from tests.command import SAMPLES
from tests.doctoring import KEY, find_check, find_line
from tests.session_writer import SessionWriter


def test_a_good_setup_has_no_problem(doctor, project):
    done = doctor(project)
    assert find_line(done, "API key").startswith("ok")
    assert "All is well." in done.out
    assert "knows phc_…89" in done.out
    assert "phc_…89 (POSTHOG_API_KEY)" in done.out
    assert "1 file" in find_line(done, "files")
    assert "version 3 in 1 file" in find_line(done, "pi format")
    assert project.accepted == []
    assert [request.events for request in project.requests] == [0], "one empty batch"
    assert max(map(len, done.out.splitlines())) <= 80
    assert all(line == line.rstrip() for line in done.out.splitlines())


def test_json_lists_the_same_checks(doctor, project):
    report = doctor(project, "--json").json
    assert (report["problems"], report["warnings"]) == (0, 0)
    by_name = {(check["section"], check["name"]): check for check in report["checks"]}
    assert by_name["posthog", "project"]["data"] == {"accepted": True}
    assert by_name["sessions", "files"]["data"]["files"] == 1
    assert by_name["sessions", "pi format"]["data"]["versions"] == {"3": 1}
    assert by_name["ledger", "file"]["data"]["exists"] is False
    assert abs(by_name["posthog", "clock"]["data"]["skew_s"]) <= 2
    assert {check["state"] for check in report["checks"]} == {"ok"}


def test_no_key_is_a_problem_that_says_where_to_get_one(doctor, project):
    done = doctor(project, code=1, POSTHOG_API_KEY="")
    line = find_line(done, "API key")
    assert line.startswith("problem")
    assert "Settings > Project" in line


def test_each_setting_says_where_it_comes_from_and_a_misspelt_key_is_seen(doctor, project, command):
    config = command.home / ".pi" / "agent" / "posthog.json"
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps({"apiKey": KEY, "privacyMode": True, "privacymode": 1, "[red]x\x1b[0m": 2}))
    done = doctor(project, POSTHOG_API_KEY="", POSTHOG_TRACE_GROUPING="session")
    text = re.sub(r"\s+", " ", done.out)
    assert "phc_…89 (" in text
    assert "session (POSTHOG_TRACE_GROUPING)" in text
    assert f"True ({config})" in text.replace("- ", "-") or "True (" in text
    line = find_line(done, "config file")
    assert line.startswith("warning")
    assert "privacymode" in line
    assert "[red]x\\x1b[0m" in line


def test_limits_and_merged_tags_are_shown_with_their_sources(doctor, project, command):
    config = command.home / ".pi" / "agent" / "posthog.json"
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps({"maxEventBytes": 900000, "tags": {"team": "core", "env": "file"}}))
    done = doctor(project, "--json", POSTHOG_MAX_MB_PER_MINUTE="60", POSTHOG_TAGS="env:dev")
    assert find_check(done, "max mb per minute")["found"] == "60 (POSTHOG_MAX_MB_PER_MINUTE)"
    assert find_check(done, "max event bytes")["found"] == f"900000 ({config})"
    assert find_check(done, "tags")["found"] == f"team:core, env:dev (POSTHOG_TAGS and {config})"
    assert find_check(done, "config file")["state"] == "ok", "its keys are known"


def test_it_says_where_to_look_when_a_yes_was_not_enough(doctor, project):
    line = find_line(doctor(project), "stored")
    assert line.startswith("ok")
    for place in ("quota", "drop events older than", "ai_byte_limit_per_second"):
        assert place in line


@pytest.mark.parametrize("content", ["{", "[1]", '{"traceGrouping": "weekly"}', '{"host": "ftp://x"}'])
def test_a_bad_config_file_is_a_problem_and_the_rest_is_checked(doctor, project, command, content):
    config = command.home / ".pi" / "agent" / "posthog.json"
    config.parent.mkdir(parents=True)
    config.write_text(content)
    done = doctor(project, code=1, POSTHOG_HOST="")
    assert find_line(done, "values").startswith("problem")
    assert "posthog.json" in re.sub(r"\s+", "", done.out)
    assert find_line(done, "files").startswith("ok")
    assert "not tried" in find_line(done, "reachable")
    assert project.requests == []


@pytest.mark.parametrize(
    "arguments", [["--host", "ftp://x"], ["nowhere"], ["--from", "nobody"], ["--no-such-flag"]]
)
def test_wrong_usage_is_one_line_and_exit_code_2(command, project, arguments):
    done = command("doctor", *arguments, **command.destination(project))
    assert done.code == 2
    assert len(done.error_lines) == 1
    assert done.out == ""


def test_no_session_folder_is_a_problem_and_an_empty_one_a_warning(doctor, project, command, tmp_path):
    done = doctor(project, code=1, paths=())
    assert "does not exist" in find_line(done, "files")
    (tmp_path / "empty").mkdir()
    done = doctor(project, paths=(tmp_path / "empty",))
    assert find_line(done, "files").startswith("warning")
    assert "OpenClaw" in find_line(doctor(project, "--from", "openclaw", code=1, paths=()), "files")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX links")
def test_files_that_cannot_be_read_are_counted_with_their_reasons(doctor, project, tmp_path):
    folder = tmp_path / "sessions"
    (folder / "empty.jsonl").touch()
    (folder / "other.jsonl").write_text('{"hello": 1}\n')
    SessionWriter(folder / "new.jsonl", version=9)
    # Root may read everything, but nobody can follow a link to itself.
    loops = [tmp_path / f"[bold]{number}\x1b[31m.jsonl" for number in range(7)]
    for loop in loops:
        loop.symlink_to(loop)
    done = doctor(project, "--json", paths=(folder, *loops))
    unreadable = [check for check in done.json["checks"] if check["name"] == "unreadable"]
    assert [check["state"] for check in unreadable] == ["warning"] * 6
    assert "symbolic links" in unreadable[0]["found"]
    assert "2 more" in unreadable[5]["found"]
    formats, left_out = find_check(done, "pi format"), find_check(done, "left out")
    assert (formats["state"], formats["data"]["versions"]) == ("warning", {"3": 1, "9": 1})
    assert left_out["data"]["files"] == 2
    assert "empty file" in left_out["found"]
    assert "not a session file" in left_out["found"]
    shown = doctor(project, paths=(folder, *loops)).out
    assert "\x1b" not in shown
    assert "[bold]0\\x1b[31m" in re.sub(r"\s", "", shown)


def test_other_agents_formats_are_named(doctor, project):
    fixture = next((SAMPLES.parent / "tests" / "fixtures" / "agents").glob("openclaw*/*"))
    done = doctor(project, "--from", "openclaw", paths=(fixture,))
    assert "OpenClaw format" in done.out


def ledger_of(command, ids=3):
    with Ledger.open(command.ledger) as ledger:
        uuids = [f"00000000-0000-4000-8000-{n:012x}" for n in range(ids)]
        ledger.record(ledger.destination_id("https://us.i.posthog.com", KEY), uuids, 1_795_446_000_000)


def test_a_ledger_is_counted_and_checked(doctor, project, command):
    ledger_of(command, 1234)
    line = find_line(doctor(project), "file")
    assert line.startswith("ok")
    assert "1,234 events delivered" in line
    assert "intact" in line


@pytest.mark.parametrize("damage", ["page", "zeros"])
def test_a_damaged_ledger_is_a_problem_that_says_what_to_do(doctor, project, command, damage):
    ledger_of(command, 5000)
    content = command.ledger.read_bytes()
    spoilt = content[:-4096] + b"\xff" * 4096 if damage == "page" else bytes(len(content))
    command.ledger.write_bytes(spoilt)
    line = find_line(doctor(project, code=1), "file")
    assert line.startswith("problem")
    assert "is damaged" in line
    assert "backfill --yes" in line
    assert command.ledger.read_bytes() == spoilt


def test_a_file_that_is_no_ledger_is_a_problem(doctor, project, tmp_path):
    (tmp_path / "notes.txt").write_text("milk")
    line = find_line(doctor(project, "--state", tmp_path / "notes.txt", code=1), "file")
    assert "is no ledger" in line


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_that_cannot_be_written_is_a_problem(doctor, project, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    line = find_line(doctor(project, "--state", tmp_path / "closed" / "l.sqlite3", code=1), "disk")
    assert "cannot be written" in line


def test_a_last_error_is_shown_until_a_delivery_succeeds(doctor, project, command):
    ledger_of(command)
    with Ledger.open(command.ledger) as ledger:
        ledger.note_error(1, "it answered 503", 1_795_446_001_000)
    line = find_line(doctor(project), "last error")
    assert line.startswith("warning")
    assert "it answered 503" in line


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX processes")
def test_a_ledger_in_use_names_its_process_and_is_read_all_the_same(doctor, project, command):
    ledger_of(command)
    hold = (
        "import sys, time; from importer.ledger.ledger import Ledger\n"
        "ledger = Ledger.open(sys.argv[1]); print(flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", hold, str(command.ledger)],
        stdout=subprocess.PIPE,
        text=True,
        env=command.environment(),
    )
    try:
        process.stdout.readline()
        done = doctor(project, "--json")
    finally:
        process.kill()
        process.communicate()
    assert find_check(done, "in use")["data"] == {"pid": process.pid}
    assert find_check(done, "file")["data"]["ids"] == 3


def test_the_doctor_fits_a_narrow_terminal_and_needs_no_unicode(doctor, project):
    done = doctor(project, COLUMNS="40")
    assert max(map(len, done.out.splitlines())) <= 48
    done = doctor(project, LC_ALL="C", PYTHONIOENCODING="ascii")
    assert "All is well." in done.out
