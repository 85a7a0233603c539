"""Nothing of the user's is overwritten, and nobody who planted a name gets what a command writes."""

from __future__ import annotations

import gzip
import json
import os
import stat

import pytest

from tests.command import SAMPLES, finish, tree
from tests.session_writer import SessionWriter

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX links and permissions")
PROMPT = "mark-of-a-prompt"


@pytest.fixture
def sessions(tmp_path):
    folder = tmp_path / "sessions"
    SessionWriter(folder / "project" / "s.jsonl").turn(PROMPT, "answer")
    return folder


@pytest.fixture
def session(sessions):
    return sessions / "project" / "s.jsonl"


def refused(done, *words):
    """Assert that a command ended with exit code 2 and one line, which holds the words and no prompt."""
    assert (done.code, done.out) == (2, "")
    (line,) = done.error_lines
    assert all(word in line for word in words), line
    assert PROMPT not in line


def uuids(data):
    return [json.loads(line)["uuid"] for line in data.splitlines()]


@pytest.mark.parametrize("more", [[], ["--force"]], ids=["plain", "force"])
def test_a_session_is_never_replaced(command, sessions, session, tmp_path, more):
    before = session.read_bytes()
    refused(command("backfill", session, "--output", session, *more), "s.jsonl", "sessions that are read")
    refused(command("backfill", sessions, "--output", session, *more), "s.jsonl")
    other = tmp_path / "other.jsonl"
    SessionWriter(other).turn("x", "y")
    refused(command("backfill", other, "--output", session, *more), "holds no export")
    assert session.read_bytes() == before


@posix
def test_a_session_is_not_replaced_under_another_name(command, session, tmp_path):
    before = session.read_bytes()
    (tmp_path / "link").symlink_to(session)
    (tmp_path / "second").hardlink_to(session)
    (tmp_path / "folder").symlink_to(session.parent)
    for name in ("link", "second", "folder/s.jsonl", "folder/new.jsonl"):
        refused(command("backfill", session.parent, "--output", tmp_path / name, "--force"), name)
    assert session.read_bytes() == before
    assert (tmp_path / "link").is_symlink()
    assert os.listdir(session.parent) == ["s.jsonl"]


@pytest.mark.parametrize("name", ["new.jsonl", "project/new.jsonl.gz", "new/", "no/such/folder/x.jsonl"])
def test_nothing_is_written_below_a_folder_that_is_read(command, sessions, name):
    before = tree(sessions)
    refused(command("backfill", sessions, "--output", f"{sessions}/{name}"), "sessions that are read")
    refused(command("backfill", "--from", sessions, "--output", f"{sessions}/{name}"), "are read")
    assert tree(sessions) == before


def test_nothing_is_written_below_the_agents_own_folder(command):
    own = command.home / ".pi" / "agent" / "sessions"
    SessionWriter(own / "--x--" / "s.jsonl").turn("x", "y")
    refused(command("backfill", "--output", own / "--x--" / "out.jsonl"), "out.jsonl")
    assert os.listdir(own / "--x--") == ["s.jsonl"]


def test_beside_a_session_that_was_named_itself_there_is_room(command, session):
    assert command("backfill", session, "--output", session.with_name("out.jsonl")).code == 0


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.txt", b"my notes"),
        ("foreign.jsonl", b'{"event":"x","uuid":"u","distinct_id":"d","properties":{"$lib":"web"}}\n'),
        ("list.jsonl", b"[]\n"),
        ("nul.jsonl", bytes(100)),
        ("packed.jsonl.gz", gzip.compress(b"my notes", mtime=0)),
        ("damaged.jsonl.gz", b"\x1f\x8b no gzip"),
        ("plain.gz", b"my notes"),
    ],
    ids=["text", "foreign", "list", "nul", "packed", "damaged", "plain"],
)
@pytest.mark.parametrize("more", [[], ["--force"]], ids=["plain", "force"])
def test_a_file_of_something_else_stays(command, session, tmp_path, name, content, more):
    (tmp_path / name).write_bytes(content)
    refused(command("backfill", session, "--output", tmp_path / name, *more), name, "holds no export")
    refused(command("backfill", "/no/such/path", "--output", tmp_path / name, *more), "holds no export")
    assert (tmp_path / name).read_bytes() == content


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz"])
def test_an_export_is_replaced_only_with_force(command, session, tmp_path, name):
    out = tmp_path / name
    out.touch()
    first = command("backfill", session, "--output", out)
    assert first.code == 0, first.err
    before = out.read_bytes()
    refused(command("backfill", SAMPLES, "--output", out), name, "--force")
    assert out.read_bytes() == before
    assert command("backfill", SAMPLES, "--output", out, "--force").code == 0
    assert len(out.read_bytes()) > len(before)
    refused(command("backfill", session, "--force"), "--output")


def test_the_summary_says_what_was_written_where(command, session, tmp_path):
    out = tmp_path / "x.jsonl"
    done = command("backfill", session, "--output", out)
    count = len(out.read_bytes().splitlines())
    assert done.out.startswith(f"Wrote {count} events (")
    assert done.out.endswith(f") to {out}\n")
    assert done.out.count("\n") == 1


@pytest.mark.parametrize("name", ["-", pytest.param("/dev/stdout", marks=posix)])
def test_a_dash_is_stdout(command, session, tmp_path, name):
    command("backfill", session, "--output", tmp_path / "x.jsonl")
    done = command("backfill", session, "--output", name)
    assert done.code == 0
    assert uuids(done.out) == uuids((tmp_path / "x.jsonl").read_text())
    (line,) = done.error_lines
    assert line.startswith("Wrote ")
    assert line.endswith(" to stdout")
    assert not (command.home / "-").exists()
    refused(command("backfill", session, "--output", name, "--json"), "--json")


@posix
def test_a_name_that_was_planted_gets_nothing(command, session, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (folder / "a.jsonl.part").write_bytes(b"")
    (folder / "b.jsonl.part").symlink_to(victim)
    (folder / "c.jsonl.part").hardlink_to(victim)
    for name in "abc":
        assert command("backfill", session, "--output", folder / f"{name}.jsonl").code == 0
        assert stat.S_IMODE((folder / f"{name}.jsonl").stat().st_mode) == 0o600
    assert victim.read_bytes() == b"precious"
    assert (folder / "a.jsonl.part").read_bytes() == b""
    assert len(list(folder.iterdir())) == 6, "no temporary file is left"


@posix
@pytest.mark.parametrize("to", ["victim", "nowhere"])
def test_a_link_in_the_place_of_the_file_is_not_written_through(command, session, tmp_path, to):
    (tmp_path / "victim").touch()
    (tmp_path / "out.jsonl").symlink_to(tmp_path / to)
    for more in ([], ["--force"]):
        refused(command("backfill", session, "--output", tmp_path / "out.jsonl", *more), "link")
    assert (tmp_path / "victim").read_bytes() == b""
    assert not (tmp_path / "nowhere").exists()


@posix
def test_a_folder_that_was_planted_gets_nothing(command, session, tmp_path):
    folder, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (folder / ".pi2posthog.part").symlink_to(elsewhere)
    assert command("backfill", session, "--output", f"{folder}/").code == 0
    assert list(elsewhere.iterdir()) == []
    assert [each.name for each in folder.iterdir() if each.name.startswith(".")] == [".pi2posthog.part"]


@pytest.mark.parametrize("more", [[], ["--force"]], ids=["plain", "force"])
def test_two_exports_at_once_to_one_name_do_not_mix(command, tmp_path, more):
    command("backfill", SAMPLES, "--output", tmp_path / "whole.jsonl")
    whole = sorted(uuids((tmp_path / "whole.jsonl").read_text()))
    running = [command.start("backfill", SAMPLES, "--output", tmp_path / "x.jsonl", *more) for _ in range(3)]
    done = [finish(process) for process in running]
    assert sorted(uuids((tmp_path / "x.jsonl").read_text())) == whole
    assert any(each.code == 0 for each in done)
    if not more:
        assert sorted(each.code == 0 for each in done) == [False, False, True]
        assert all("x.jsonl" in each.err for each in done if each.code)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["home", "whole.jsonl", "x.jsonl"]


@posix
@pytest.mark.parametrize("kind", ["link", "hard link", "file"])
def test_a_lock_that_was_planted_is_not_written_to(command, server, session, tmp_path, kind):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    state = tmp_path / "state"
    state.mkdir()
    lock = state / "l.db.lock"
    if kind == "link":
        lock.symlink_to(victim)
    elif kind == "hard link":
        lock.hardlink_to(victim)
    else:
        lock.write_bytes(b"precious")
    done = command.send(server, session, "--state", state / "l.db")
    assert done.code in (1, 2)
    assert len(done.error_lines) == 1
    assert victim.read_bytes() == lock.read_bytes() == b"precious"
    assert server.requests == []


@posix
@pytest.mark.parametrize("make", ["symlink_to", "hardlink_to"])
def test_a_cache_that_was_planted_is_not_written_to(command, server, session, tmp_path, make):
    victim = tmp_path / "victim"
    victim.touch()
    cache = command.home / ".cache" / "pi2posthog" / "counted.sqlite3"
    cache.parent.mkdir(parents=True)
    getattr(cache, make)(victim)
    assert command.send(server, session).code == 0
    assert victim.read_bytes() == b""
    assert server.accepted


def test_events_that_are_cut_to_fit_are_said(command, tmp_path):
    SessionWriter(tmp_path / "sessions" / "s.jsonl").turn("x" * 40_000, "y")
    done = command(
        "backfill",
        tmp_path / "sessions",
        "--output",
        tmp_path / "out.jsonl",
        POSTHOG_MAX_EVENT_BYTES="16384",
        POSTHOG_CONTENT_DAYS="all",
    )
    assert done.code == 0
    assert any("was cut to 16384 bytes" in line for line in done.error_lines)
    assert "cut to fit: 1 of them" in done.out
    assert max(map(len, (tmp_path / "out.jsonl").read_bytes().splitlines())) <= 16384
