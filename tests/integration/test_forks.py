"""Forks of every kind: whatever is copied, however often and in whatever order it is read, counts once."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from pathlib import Path

import pytest

from tests.session_writer import SessionWriter

FORKS = 36  # as in the report of a user whose tools showed $214 for $6


def fork(parent: Path, folder: Path, number: int, *, lines: int, turns: int = 1) -> Path:
    """A fork of a session's first entries, with prompts of its own."""
    _, *entries = parent.read_bytes().splitlines(keepends=True)
    last = json.loads(entries[lines - 1])
    child = SessionWriter(
        folder / f"2025-03-02T10-00-00-{number:03}Z_fork-{number}.jsonl",
        f"fork-{number}",
        start=SessionWriter(folder / ".scratch").now + timedelta(hours=1 + number),
        parentSession=f"/home/dev/.pi/agent/sessions/{parent.name}",
    )
    (folder / ".scratch").unlink()
    child.raw(b"".join(entries[:lines]))
    child.entries, child.last = 1000 * (number + 1), last["id"]
    for turn in range(turns):
        child.turn(f"fork {number}, prompt {turn}", "done")
    return child.path


@pytest.fixture
def story(sessions: Path) -> SessionWriter:
    """A session of ten prompts."""
    parent = SessionWriter(sessions / "2025-03-01T10-00-00-000Z_parent.jsonl", "parent")
    for number in range(10):
        parent.turn(f"prompt {number}", f"answer {number}")
    return parent


@pytest.fixture
def sessions(tmp_path: Path) -> Path:
    return tmp_path / "sessions"


def test_36_forks_of_a_session_cost_what_the_session_and_their_own_calls_cost(command, sessions, story):
    alone = command("preview", sessions, "--json").json
    for number in range(FORKS):
        fork(story.path, sessions, number, lines=2 * (number % 10 + 1))
    together = command("preview", sessions, "--json").json
    own = alone["cost_usd"] / 10  # each fork made one call, as dear as every other
    assert together["sessions"] == 1 + FORKS
    assert together["generations"] == 10 + FORKS
    assert together["traces"] == 10 + FORKS
    assert together["cost_usd"] == pytest.approx(alone["cost_usd"] + FORKS * own)
    by_session = {group["session"]: group["generations"] for group in together["groups"]}
    assert by_session == {"parent": 10} | {f"fork-{number}": 1 for number in range(FORKS)}


def test_a_fork_of_a_fork_of_a_fork_brings_what_is_its_own(command, server, sessions, story):
    parent = story.path
    for number in range(3):
        parent = fork(parent, sessions, number, lines=20 + 2 * number)
    done = command.send(server, sessions, "--json").json
    assert (done["generations"], done["delivered"]) == (13, 39)
    calls = [e["properties"] for e in server.accepted if e["event"] == "$ai_generation"]
    counts = dict.fromkeys(("pi:parent", "pi:fork-0", "pi:fork-1", "pi:fork-2"), 0)
    for call in calls:
        counts[call["$ai_session_id"]] += 1
    assert counts == {"pi:parent": 10, "pi:fork-0": 1, "pi:fork-1": 1, "pi:fork-2": 1}


@pytest.mark.parametrize("seed", range(5))
def test_files_that_arrive_in_any_order_give_the_same_events(command, server, sessions, story, seed):
    """One import for each file, as when they are synced from another machine one by one."""
    settings = {"POSTHOG_DISTINCT_ID": "me"}  # without it, an orphan's copies belong to the fork
    forks = [fork(story.path, sessions, number, lines=4 + 4 * number) for number in range(4)]
    files = [story.path, *forks]
    random.Random(seed).shuffle(files)
    for path in files:
        assert command.send(server, path, **settings).code == 0
    assert server.duplicates == 0
    expected = command.send(server, sessions, "--dry-run", "--json", **settings).json
    assert len(server.accepted) == expected["events"] == expected["already_delivered"]


def test_forks_whose_parent_is_gone_bring_its_calls_once(command, server, sessions, story):
    for number in range(5):
        fork(story.path, sessions, number, lines=20)
    story.path.unlink()
    done = command.send(server, sessions, "--json").json
    assert done["generations"] == 10 + 5
    assert server.duplicates == 0
    calls = [e["properties"] for e in server.accepted if e["event"] == "$ai_generation"]
    assert sum(call["$ai_session_id"] == "pi:parent" for call in calls) == 10


def test_a_clone_without_a_prompt_of_its_own_brings_nothing(command, sessions, story):
    clone = fork(story.path, sessions, 0, lines=20, turns=0)
    figures = command("preview", sessions, "--json").json
    (row,) = [group for group in figures["groups"] if group["path"] == str(clone)]
    assert (row["generations"], row["spans"], row["traces"], row["state"]) == (0, 0, 0, "empty")
