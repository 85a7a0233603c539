"""`pi2posthog status`, as a user runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from importer.ledger.ledger import Ledger
from tests.building import built
from tests.command import ROOT, Command, tree
from tests.session_writer import SessionWriter
from tests.watching import recently

KEY = "phc_test_key"


@pytest.fixture
def pi(tmp_path):
    return Command(tmp_path / "home")


@pytest.fixture
def story(tmp_path):
    story = SessionWriter(tmp_path / "sessions" / "s.jsonl", start=recently())
    story.turn("one", "1")
    story.turn("two", "2")
    return story


def deliver(path: Path, events, host="https://us.i.posthog.com", key=KEY, error=None):
    with Ledger.open(path) as ledger:
        destination = ledger.destination_id(host, key)
        ledger.record(destination, [event.uuid for event in events], 1_795_446_000_000)
        if error:
            ledger.note_error(destination, error, 1_795_446_001_000)


def test_each_destination_counts_delivered_and_waiting_events(pi, story, tmp_path):
    events = built(story.path)
    deliver(pi.ledger, events[:3], error="127.0.0.1 answered 503")
    deliver(pi.ledger, events, host="https://eu.i.posthog.com")
    figures = pi("status", tmp_path / "sessions", "--json").json
    assert figures["events"] == 6
    assert figures["running"] is False
    assert figures["pid"] is None
    assert figures["ledger"] == str(pi.ledger)
    us, eu = figures["destinations"]
    assert us == {
        "host": "https://us.i.posthog.com",
        "key_fingerprint": us["key_fingerprint"],
        "delivered": 3,
        "waiting": 3,
        "last_delivered": "2026-11-23T15:00:00.000Z",
        "last_error": "127.0.0.1 answered 503",
        "last_error_at": "2026-11-23T15:00:01.000Z",
    }
    assert (eu["host"], eu["delivered"], eu["waiting"]) == ("https://eu.i.posthog.com", 6, 0)
    assert eu["last_error"] is None


def test_the_table_shows_the_same_and_no_key(pi, story, tmp_path):
    deliver(pi.ledger, built(story.path)[:3], error="127.0.0.1 answered 503")
    deliver(pi.ledger, [], host="https://eu.i.posthog.com", error="https://eu.i.posthog.com answered 502")
    shown = pi("status", tmp_path / "sessions", TZ="UTC", COLUMNS="120")
    assert shown.code == 0
    row = next(line for line in shown.out.splitlines() if "us.i.posthog.com (" in line)
    assert row.split()[-4:] == ["3", "3", "2026-11-23", "15:00:00"]
    assert "last error  https://us.i.posthog.com: 127.0.0.1 answered 503 (2026-11-23 15:00:01)" in shown.out
    assert "last error  https://eu.i.posthog.com answered 502 (2026-11-23 15:00:01)" in shown.out
    assert "running     no" in shown.out
    assert str(pi.ledger) in shown.out
    assert KEY not in shown.out + pi("status", tmp_path / "sessions", "--json").out


def test_before_anything_was_delivered_it_says_so_and_writes_nothing(pi, story, tmp_path):
    before = tree(tmp_path)
    shown = pi("status", tmp_path / "sessions")
    assert shown.code == 0
    assert "Nothing was delivered yet." in shown.out
    assert pi("status", tmp_path / "sessions", "--json").json["destinations"] == []
    assert tree(tmp_path) == before


def test_a_running_process_is_named(pi, story, tmp_path):
    deliver(pi.ledger, [])
    hold = (
        "import sys, pathlib, importer.ledger.ledger as l\n"
        "with l.Ledger.open(pathlib.Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, pi.ledger],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        figures = pi("status", tmp_path / "sessions", "--json").json
        assert (figures["running"], figures["pid"]) == (True, holder.pid)
        assert f"running     yes (process {holder.pid})" in pi("status", tmp_path / "sessions").out
        holder.communicate()


def test_without_a_session_folder_the_ledger_alone_is_shown(pi):
    deliver(pi.ledger, built_anything(pi))
    figures = pi("status", "--json").json
    assert figures["events"] is None
    assert [(d["delivered"], d["waiting"]) for d in figures["destinations"]] == [(3, None)]
    assert pi("status").code == 0


def built_anything(pi):
    story = SessionWriter(pi.home / "aside.jsonl")
    story.turn("one", "1")
    return built(story.path)


def test_a_path_that_does_not_exist_is_wrong_usage(pi, tmp_path):
    finished = pi("status", tmp_path / "missing")
    assert (finished.code, len(finished.error_lines)) == (2, 1)


def test_no_pandas_is_imported(pi, story, tmp_path):
    deliver(pi.ledger, built(story.path)[:3])
    shown = pi("status", tmp_path / "sessions", PYTHONPROFILEIMPORTTIME="1")
    names = {line.rsplit("|", 1)[-1].strip() for line in shown.err.splitlines()}
    assert "importer.commands.status" in names
    assert not names & {"pandas", "numpy"}
