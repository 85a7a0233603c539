"""What goes wrong ends with one line that says what to do, and the exit code that fits it."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import SAMPLES
from tests.posthog_server import Fault, PostHogServer
from tests.session_writer import SessionWriter

ONE = SAMPLES / "0.87.1" / "tools"
WRONG_USAGE = {
    "grouping": (["preview", ONE, "--by", "week"], {}, ["--by", "'week'", "session, day, project, model"]),
    "path": (["preview", "/nowhere/s.jsonl"], {}, ["/nowhere/s.jsonl", "does not exist"]),
    "no sessions": (["preview"], {}, [".pi/agent/sessions", "does not exist", "PATH"]),
    "no key": (["backfill", ONE], {}, ["POSTHOG_API_KEY", "apiKey", "phc_"]),
    "since": (["preview", ONE, "--since", "soon"], {}, ["--since", "'soon'", "2026-11-01", "7d"]),
    "until": (["backfill", ONE, "--until", "0d x"], {"POSTHOG_API_KEY": "k"}, ["--until", "'0d x'", "7d"]),
    "period": (["preview", ONE, "--since", "1d", "--until", "2d"], {}, ["--since", "--until"]),
    "option": (["preview", ONE, "--bogus"], {}, ["--bogus", "--help"]),
    "command": (["upload"], {}, ["'upload'", "--help"]),
    "value": (["preview", ONE, "--since"], {}, ["--since", "argument"]),
    "host flag": (
        ["preview", ONE, "--host", "ftp://x"],
        {},
        ["--host", "'ftp://x'", "https://us.i.posthog.com"],
    ),
    "context flag": (
        ["preview", ONE, "--input-context", "all"],
        {},
        ["--input-context", "full, turn or new"],
    ),
    "grouping flag": (
        ["preview", ONE, "--trace-grouping", "x"],
        {},
        ["--trace-grouping", "message or session"],
    ),
}
WRONG_VALUES = {
    "POSTHOG_HOST": ("posthog.com", "http or https URL"),
    "POSTHOG_PRIVACY_MODE": ("maybe", "true or false"),
    "POSTHOG_ENABLED": ("perhaps", "true or false"),
    "POSTHOG_TRACE_GROUPING": ("day", "message or session"),
    "POSTHOG_SESSION_WINDOW_MINUTES": ("-5", "from 0.001 to 52560000"),
    "POSTHOG_TAGS": ("team=core", "key1:val1,key2:val2"),
    "POSTHOG_MAX_ATTRIBUTE_LENGTH": ("lots", "whole number"),
    "POSTHOG_ENDPOINT": ("capture", "auto, batch or ai"),
    "POSTHOG_PARALLEL": ("0", "from 1 to 32"),
    "POSTHOG_MAX_EVENTS_PER_MINUTE": ("-1", "whole number"),
    "POSTHOG_INPUT_CONTEXT": ("everything", "full, turn or new"),
}


@pytest.mark.parametrize("name", WRONG_USAGE)
def test_wrong_usage_is_one_line_and_exit_code_2(command, name):
    arguments, environment, words = WRONG_USAGE[name]
    done = command(*arguments, **environment)
    assert (done.code, done.out) == (2, "")
    (line,) = done.error_lines
    for word in words:
        assert word in line


@pytest.mark.parametrize("name", WRONG_VALUES)
def test_a_bad_value_names_the_variable_the_value_and_what_is_allowed(command, name):
    value, allowed = WRONG_VALUES[name]
    done = command("backfill", ONE, **{"POSTHOG_API_KEY": "phc_x", name: value})
    assert (done.code, done.out) == (2, "")
    (line,) = done.error_lines
    assert f"{name} is {value!r}" in line
    assert allowed in line


def test_a_bad_key_is_never_shown(command):
    done = command("backfill", ONE, POSTHOG_API_KEY="phx_personal_secret")
    (line,) = done.error_lines
    assert done.code == 2
    assert "POSTHOG_API_KEY" in line
    assert "personal_secret" not in line


def test_a_damaged_ledger_is_one_line_that_names_it(command, tmp_path):
    bad = tmp_path / "l.db"
    bad.write_bytes(b"this is no ledger, " * 100)
    for arguments in (["preview", ONE, "--state", bad], ["backfill", ONE, "--state", bad]):
        done = command(*arguments, POSTHOG_API_KEY="k", POSTHOG_HOST="http://127.0.0.1:9")
        (line,) = done.error_lines
        assert done.code == 2
        assert str(bad) in line
    assert bad.read_bytes() == b"this is no ledger, " * 100


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, ["401", "POSTHOG_API_KEY", "not_known"]),
        (403, ["403", "POSTHOG_API_KEY"]),
        (404, ["404", "POSTHOG_HOST"]),
        (400, ["400"]),
    ],
)
def test_a_refusal_is_one_line_without_the_key_and_exit_code_1(command, server, status, words):
    body = b"API key is not valid: not_known" if status == 401 else b"no to phc_test"
    server.faults = [Fault(status=status, body=body)]
    done = command.send(server, ONE, POSTHOG_ENDPOINT="batch")
    assert done.code == 1
    (line,) = done.error_lines
    for word in words:
        assert word in line
    assert server.api_key not in done.err + done.out
    assert len(server.requests) == 1, "trying again would not help"


def test_a_wrong_key_is_refused_by_the_server_itself(command, server):
    done = command("backfill", ONE, POSTHOG_HOST=server.url, POSTHOG_API_KEY="phc_other")
    assert done.code == 1
    assert "401" in done.error_lines[0]
    assert "phc_other" not in done.err + done.out


def test_json_stays_one_object_when_the_delivery_fails(command, server):
    server.faults = [Fault(status=401)]
    done = command.send(server, ONE, "--json")
    assert done.code == 1
    assert done.json["delivered"] == 0
    assert done.json["left"] == done.json["events"] > 0
    assert len(done.error_lines) == 1


def test_a_passing_fault_is_retried_and_nothing_is_counted_twice(command, server):
    server.faults = [Fault(status=503), Fault(reset="after"), Fault(status=429, headers={"Retry-After": "0"})]
    done = command.send(server, ONE, "--json")
    assert (done.code, done.json["retries"], done.json["failed"]) == (0, 3, 0)
    assert len(server.accepted) == done.json["delivered"]
    assert server.duplicates == len(server.accepted), (
        "the cut connection's batch came again, envelope and all"
    )


def test_a_lasting_fault_ends_with_one_last_line(command, server):
    server.faults = [Fault(status=503)] * 50
    done = command.send(server, ONE)
    assert done.code == 1
    assert len(server.requests) == 6
    *retries, last = done.error_lines
    assert "Gave up after 6 tries" in last
    assert "503" in last
    assert "run the same command again" in last
    assert all("next try in" in line or line.startswith("sent ") for line in retries)


def test_an_event_too_large_for_the_server_is_split_then_trimmed_then_named(command, tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    for _ in range(6):
        story.turn("q" * 40_000, "a" * 40_000)
    with PostHogServer(max_ai_lane_event=100_000) as strict:
        done = command.send(strict, story.path, "--json")
        assert (done.code, done.json["failed"], done.json["left"]) == (0, 0, 0)
        assert len(strict.accepted) == done.json["delivered"] == 18
        assert sum("was cut to" in line for line in done.error_lines) == len(done.error_lines) > 0
    with PostHogServer(max_ai_lane_event=3_000) as tiny:
        done = command.send(tiny, story.path, "--json", POSTHOG_MAX_ATTRIBUTE_LENGTH="100")
        assert (done.code, done.json["failed"]) == (1, 6)
        assert {event["event"] for event in tiny.accepted} == {"$ai_span", "$ai_trace"}
        assert all("not delivered" in line for line in done.error_lines)
        tiny.max_ai_lane_event = 100_000
        assert command.send(tiny, story.path, "--json").json["delivered"] == 6


def test_a_file_that_cannot_be_written_is_one_line(command, tmp_path):
    done = command("backfill", ONE, "--output", tmp_path / "none" / "x.jsonl")
    assert done.code == 1
    (line,) = done.error_lines
    assert "none/x.jsonl" in line


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_cannot_be_read_is_named_and_the_rest_is_sent(command, server, tmp_path):
    SessionWriter(tmp_path / "s" / "good.jsonl").turn("x", "y")
    SessionWriter(tmp_path / "s" / "bad.jsonl", "bad").turn("x", "y")
    (tmp_path / "s" / "bad.jsonl").chmod(stat.S_IWUSR)
    done = command.send(server, tmp_path / "s", "--json")
    assert (done.code, done.json["delivered"]) == (1, 2)
    (line,) = done.error_lines
    assert "bad.jsonl" in line


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("arguments", [["--version"], ["preview", SAMPLES], ["preview", SAMPLES, "--json"]])
def test_an_output_that_cannot_be_written_is_one_line(command, arguments):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "importer", *map(str, arguments)],
            env=command.environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == f"pi2posthog: The output cannot be written: {os.strerror(errno.ENOSPC)}.\n"


@pytest.mark.parametrize("arguments", [["--version"], ["preview", SAMPLES], ["preview", SAMPLES, "--json"]])
def test_a_closed_pipe_gets_no_message(command, arguments):
    process = command.start(*arguments)
    assert process.stdout
    process.stdout.close()
    assert process.stderr
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() == 1
