"""`--from`: other agents' sessions, as a user runs the commands."""

from __future__ import annotations

import shutil

import pytest

from tests.parsers.agents.totals import RECORDED, spent
from tests.session_writer import SessionWriter
from tests.watching import Watch, eventually, ids, once, recently

OPENCLAW = RECORDED / "openclaw" / "2026.6.11"
OMP = RECORDED / "omp" / "18.2.3"
PAID = [path for path in OPENCLAW.rglob("*.jsonl*") if "checkpoint" not in path.name]


@pytest.fixture
def claw(command):
    shutil.copytree(OPENCLAW, command.home / ".openclaw")
    return command.home / ".openclaw"


@pytest.fixture
def omp(command):
    shutil.copytree(OMP, command.home / ".omp" / "agent" / "sessions")
    return command.home / ".omp"


def cost(paths) -> float:
    return sum(spent(path)[1] for path in paths)


def test_from_openclaw_previews_its_own_folders(command, claw):
    shown = command("preview", "--from", "openclaw", "--json")

    assert (shown.code, shown.err) == (0, "")
    assert shown.json["sessions"] == len(PAID) == 4
    assert shown.json["generations"] == 12
    assert shown.json["cost_usd"] == pytest.approx(cost(PAID))
    assert shown.json["skipped_files"] == shown.json["warnings"] == []


def test_from_omp_previews_its_own_folders(command, omp):
    shown = command("preview", "--from", "omp", "--json")

    assert (shown.code, shown.err) == (0, "")
    assert shown.json["sessions"] == 2
    assert shown.json["cost_usd"] == pytest.approx(cost(OMP.rglob("*.jsonl")))


def test_a_path_after_from_is_read_as_its_agents_sessions(command, server, claw, omp):
    moved = command.home / "backup"
    claw.rename(moved)

    assert command.send(server, omp, "--from", moved).code == 0
    assert frameworks(server) == {"openclaw", "omp"}
    assert len(ids(server, "generation")) == 12 + 6
    assert command.send(server, "--from", moved, omp).code == 0
    assert server.duplicates == 0


def test_openclaws_own_variable_names_its_folder(command, claw):
    elsewhere = command.home / "state"
    claw.rename(elsewhere)

    shown = command("preview", "--from", "openclaw", "--json", OPENCLAW_STATE_DIR=str(elsewhere))
    assert shown.json["sessions"] == 4


def test_status_counts_an_agents_waiting_events(command, server, claw):
    assert command.send(server, "--from", "openclaw").code == 0

    at_host = command.destination(server)
    known = command("status", "--from", "openclaw", "--json", **at_host).json
    assert known["events"] == known["destinations"][0]["delivered"]
    assert known["destinations"][0]["waiting"] == 0


@pytest.mark.parametrize("name", ["preview", "backfill", "watch", "status"])
def test_an_unknown_agent_is_wrong_usage(name, command, server):
    shown = command(name, "--from", "claude", **command.destination(server))

    assert (shown.code, shown.out) == (2, "")
    assert shown.error_lines == [
        "pi2posthog: --from: 'claude' is no agent (pi, openclaw, omp) and no existing file or folder"
    ]


def test_an_agent_without_a_folder_is_wrong_usage(command):
    shown = command("preview", "--from", "openclaw")

    assert shown.code == 2
    (line,) = shown.error_lines
    assert line.startswith("pi2posthog: OpenClaw's session folder ")


def test_watch_follows_agents_that_get_their_folders_later(command, server):
    agents = command.home / ".openclaw" / "agents"
    with Watch(command, server, "--from", "openclaw", "--settle", 0) as watch:
        for number, name in enumerate(("main", "ops"), 1):
            path = agents / name / "sessions" / f"{name}.jsonl"
            story = SessionWriter(path, name, start=recently(minutes=10 * number))
            story.turn("who are you?", name)
            eventually(lambda n=2 * number - 1: len(ids(server, "generation")) == n, f"the call of {name}")
            story.turn("still there?", "yes", usage={"input": 5, "output": number})
            path.rename(path.with_name(f"{name}.jsonl.reset.2026-11-23T18-00-00.000Z"))
            eventually(lambda n=2 * number: len(ids(server, "generation")) == n, f"{name}, put away")
        assert watch.stop().code == 0
    assert once(command, server, "--from", "openclaw").code == 0
    assert {e["properties"]["$ai_agent_name"] for e in server.accepted} == {"main", "ops"}
    assert frameworks(server) == {"openclaw"}
    assert len(ids(server, "generation")) == 4
    assert server.duplicates == 0


def frameworks(server) -> set[str]:
    return {event["properties"]["$ai_framework"] for event in server.accepted}
