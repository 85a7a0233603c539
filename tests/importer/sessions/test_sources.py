"""Sessions are looked for in the agents' own folders, or where the user says."""

import shutil
from pathlib import Path

import pytest

from importer.errors import UsageError
from importer.places import session_place
from importer.sessions.discovery import find_sessions
from importer.sessions.sources import source_of
from parsers.agents import AGENTS
from tests.building import events
from tests.importer.sessions.test_discovery import header, write
from tests.parsers.agents.totals import RECORDED

OPENCLAW = RECORDED / "openclaw" / "2026.6.11"
OMP = RECORDED / "omp" / "18.2.3"


def place(name, environ) -> str:
    return str(Path(*session_place(AGENTS[name], environ)))


def found(*paths, origin=None, **environ) -> dict[str, str]:
    """Return the names of the agents by session id."""
    discovery = find_sessions(paths, origin, environ=environ)
    return {session.session_id: session.agent.name for session in discovery.sessions}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "/home/ada/.openclaw/agents/*/session*"),
        ({"OPENCLAW_STATE_DIR": "/srv/claw"}, "/srv/claw/agents/*/session*"),
        ({"OPENCLAW_STATE_DIR": "~/claw", "OPENCLAW_HOME": "/x"}, "/home/ada/claw/agents/*/session*"),
        ({"CLAWDBOT_STATE_DIR": "/srv/bot"}, "/srv/bot/agents/*/session*"),
        ({"OPENCLAW_HOME": "/srv/home"}, "/srv/home/.openclaw/agents/*/session*"),
        ({"OPENCLAW_HOME": "~"}, "/home/ada/.openclaw/agents/*/session*"),
        ({"OPENCLAW_PROFILE": "work"}, "/home/ada/.openclaw-work/agents/*/session*"),
        ({"OPENCLAW_PROFILE": "default"}, "/home/ada/.openclaw/agents/*/session*"),
    ],
)
def test_openclaws_folders_are_where_its_variables_say(environ, expected):
    assert place("openclaw", {"HOME": "/home/ada"} | environ) == expected


def test_openclaw_under_an_older_name_is_found_where_there_is_no_newer_one(tmp_path):
    environ = {"HOME": str(tmp_path)}
    (tmp_path / ".clawdbot").mkdir()
    assert place("openclaw", environ) == f"{tmp_path}/.clawdbot/agents/*/session*"

    (tmp_path / ".openclaw").mkdir()
    assert place("openclaw", environ) == f"{tmp_path}/.openclaw/agents/*/session*"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "/home/ada/.omp/agent/sessions"),
        ({"PI_CODING_AGENT_DIR": "/srv/omp"}, "/srv/omp/sessions"),
        ({"PI_CONFIG_DIR": ".mine"}, "/home/ada/.mine/agent/sessions"),
        ({"OMP_PROFILE": "work"}, "/home/ada/.omp/profiles/work/agent/sessions"),
        ({"OMP_PROFILE": "a", "PI_PROFILE": "b"}, "/home/ada/.omp/profiles/a/agent/sessions"),
        ({"PI_PROFILE": "b", "PI_CODING_AGENT_DIR": "/x"}, "/home/ada/.omp/profiles/b/agent/sessions"),
        ({"OMP_PROFILE": "default"}, "/home/ada/.omp/agent/sessions"),
        ({"XDG_DATA_HOME": "/nowhere"}, "/home/ada/.omp/agent/sessions"),
        ({"PI_CODING_AGENT_SESSION_DIR": "/pi/only"}, "/home/ada/.omp/agent/sessions"),
    ],
)
def test_oh_my_pis_folder_is_where_its_variables_say(environ, expected):
    assert place("omp", {"HOME": "/home/ada"} | environ) == expected


def test_oh_my_pis_folder_in_the_data_home_counts_once_it_exists(tmp_path):
    environ = {"HOME": "/home/ada", "XDG_DATA_HOME": str(tmp_path)}
    (tmp_path / "omp").mkdir()
    assert place("omp", environ) == f"{tmp_path}/omp/sessions"
    assert place("omp", environ | {"OMP_PROFILE": "work"}) == "/home/ada/.omp/profiles/work/agent/sessions"

    (tmp_path / "omp" / "profiles" / "work").mkdir(parents=True)
    assert place("omp", environ | {"OMP_PROFILE": "work"}) == f"{tmp_path}/omp/profiles/work/sessions"


def test_the_sessions_of_all_openclaw_agents_are_found_and_copies_are_not(tmp_path):
    shutil.copytree(OPENCLAW, tmp_path / ".openclaw")
    sessions = tmp_path / ".openclaw" / "agents" / "main" / "sessions"
    live = next(path for path in sessions.glob("*1.jsonl"))
    for name in ("x.trajectory.jsonl", "x.jsonl.bak.2026-03-01T04-00-00.000Z", "x.acp-stream.jsonl"):
        shutil.copy(live, sessions / name)
    shutil.copy(live, tmp_path / ".openclaw" / "agents" / "elsewhere.jsonl")
    write(sessions / "sessions.json", "{}")

    expected = {f"0b3f0000-0000-4000-8000-00000000000{n}": "openclaw" for n in (1, 2, 3, 4)}
    assert found(origin="openclaw", HOME=str(tmp_path)) == expected
    assert found(origin="openclaw", OPENCLAW_STATE_DIR=str(tmp_path / ".openclaw"), HOME="/x") == expected


def test_oh_my_pis_subagents_and_advisors_are_sessions_and_backups_are_not(tmp_path):
    shutil.copytree(OMP, tmp_path / ".omp" / "agent" / "sessions")
    (scout,) = (tmp_path / ".omp").rglob("0-Scout.jsonl")
    shutil.copy(scout, scout.parent.with_suffix(".jsonl.7301.bak"))
    write(scout.with_name("__advisor.jsonl"), header("advice"))

    assert sorted(found(origin="omp", HOME=str(tmp_path)).values()) == ["omp"] * 3


def test_paths_without_a_name_are_recognized_each_by_its_own_folder(tmp_path):
    write(tmp_path / ".pi" / "agent" / "sessions" / "p.jsonl")
    write(tmp_path / ".openclaw" / "agents" / "main" / "sessions" / "c.jsonl")
    write(tmp_path / "moved" / "agents" / "ops" / "sessions" / "m.jsonl")
    write(tmp_path / ".omp" / "agent" / "sessions" / "-x" / "o.jsonl")
    write(tmp_path / "other" / "u.jsonl")

    everything = {"p": "pi", "c": "openclaw", "m": "openclaw", "o": "omp", "u": "pi"}
    assert found(tmp_path) == everything | {"m": "pi"}, "pi's sessions may be kept in any folder"
    assert found(origin=str(tmp_path)) == everything
    assert found(tmp_path / ".omp", origin=str(tmp_path / ".openclaw")) == {"c": "openclaw", "o": "omp"}
    assert found(tmp_path / ".openclaw" / "agents" / "main" / "sessions" / "c.jsonl") == {"c": "openclaw"}


def test_a_relative_path_is_recognized_by_where_it_leads(tmp_path, monkeypatch):
    write(tmp_path / ".openclaw" / "agents" / "main" / "sessions" / "c.jsonl")
    monkeypatch.chdir(tmp_path / ".openclaw" / "agents")

    assert found(Path("main")) == {"c": "openclaw"}
    assert found(Path("main/sessions/c.jsonl")) == {"c": "openclaw"}


def test_a_name_says_how_to_read_paths_whatever_they_are_called(tmp_path):
    path = write(tmp_path / "agents" / "main" / "sessions" / "s.jsonl")

    assert found(tmp_path, origin="pi") == {"s": "pi"}
    assert found(path, origin="omp") == {"s": "omp"}


def test_without_anything_it_is_pis_own_folder(tmp_path):
    write(tmp_path / ".pi" / "agent" / "sessions" / "p.jsonl")
    write(tmp_path / ".openclaw" / "agents" / "main" / "sessions" / "c.jsonl")

    assert found(HOME=str(tmp_path)) == {"p": "pi"}
    assert found(origin="pi", HOME=str(tmp_path)) == {"p": "pi"}


@pytest.mark.parametrize("origin", ["claude", "", "no/such/folder", "OpenClaw"])
def test_a_name_that_is_neither_an_agents_nor_a_paths_is_refused_in_one_line(origin, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UsageError, match=r"^--from: .* is no agent \(pi, openclaw, omp\)") as error:
        source_of(origin, [tmp_path])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "title"), [("openclaw", "OpenClaw"), ("omp", "oh-my-pi"), ("pi", "pi")])
def test_an_agent_without_a_folder_is_an_error_that_names_it(name, title, tmp_path):
    with pytest.raises(UsageError, match=f"^{title}'s session folder .* does not exist"):
        find_sessions(origin=name, environ={"HOME": str(tmp_path)})


def test_the_folders_are_those_that_are_there_by_now(tmp_path):
    source = source_of("openclaw", environ={"HOME": str(tmp_path)})
    assert source.roots() == []

    sessions = tmp_path / ".openclaw" / "agents" / "main" / "sessions"
    sessions.mkdir(parents=True)
    assert source.roots() == [sessions]


def test_what_openclaws_doctor_has_put_away_still_counts(tmp_path):
    archive = tmp_path / ".openclaw" / "agents" / "main" / "session-sqlite-import-archive"
    write(archive / "key.a.jsonl.imported-1788220800000", header("a"))
    write(archive / "key.a.trajectory.jsonl.imported-1788220800000", header("b"))

    assert found(origin="openclaw", HOME=str(tmp_path)) == {"a": "openclaw"}


def test_a_database_of_a_newer_openclaw_is_named_not_passed_over_in_silence(tmp_path):
    base = tmp_path / ".openclaw"
    for name in ("main", "ops"):
        write(base / "agents" / name / "agent" / "openclaw-agent.sqlite", "SQLite format 3")
    with pytest.raises(
        UsageError, match=r"^OpenClaw has no session files, only .*openclaw-agent\.sqlite: a data"
    ):
        find_sessions(origin="openclaw", environ={"HOME": str(tmp_path)})

    write(base / "agents" / "main" / "sessions" / "a.jsonl")
    for discovery in (
        find_sessions(origin="openclaw", environ={"HOME": str(tmp_path)}),
        find_sessions([base]),
    ):
        (skipped,) = discovery.skipped
        assert skipped.path == base / "agents" / "main" / "agent" / "openclaw-agent.sqlite"
        assert skipped.reason == "a database of OpenClaw 2026.8.1 or newer, cannot be read (and 1 more)"
        assert [session.session_id for session in discovery.sessions] == ["a"]


def test_the_events_of_an_openclaw_session_name_its_framework_and_agent(tmp_path):
    copied = tmp_path / ".openclaw"
    shutil.copytree(OPENCLAW, copied)
    (path,) = (copied / "agents" / "ops" / "sessions").glob("*.jsonl")

    for event in events(path, origin="openclaw"):
        properties = event["properties"]
        assert properties["$ai_framework"] == "openclaw"
        assert properties["$ai_session_id"] == f"openclaw:{path.stem}"
        assert event["distinct_id"] == f"openclaw:{path.stem}"
        assert properties["$ai_agent_name"] == "ops"
        assert properties["$ai_project_name"] == "workspace"
    assert {e["properties"]["$ai_agent_name"] for e in events(path, origin="openclaw", agent_name="me")} == {
        "me"
    }


def test_the_events_of_an_oh_my_pi_session_name_its_framework():
    (path,) = (OMP / "-project").glob("*.jsonl")

    for event in events(path, origin="omp"):
        assert event["properties"]["$ai_framework"] == "omp"
        assert event["properties"]["$ai_session_id"].startswith("omp:01a2095f-")
        assert event["properties"]["$ai_agent_name"] == event["properties"]["$ai_project_name"] == "project"


def test_a_subagents_session_of_oh_my_pi_names_it_and_its_parent():
    (path,) = OMP.rglob("0-Scout.jsonl")

    for event in events(path, origin="omp"):
        assert event["properties"]["$ai_agent_name"] == "project/scout"
        parent = path.parent.name.partition("_")[2]
        assert event["properties"]["$ai_parent_session_id"] == f"omp:{parent}"
