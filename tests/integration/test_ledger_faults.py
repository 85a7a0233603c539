"""The ledger damaged, full, old, new, in use and killed: nothing is lost, nothing comes under another id."""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import sqlite3
import subprocess
import sys
import time
import uuid

import pytest

from importer.commands.ledgers import set_aside
from importer.errors import DamagedLedgerError
from importer.ledger.ledger import Ledger
from importer.ledger.ledger_file import SCHEMA_VERSION
from tests.command import finish
from tests.posthog_server import Fault, PostHogServer
from tests.session_writer import SessionWriter
from tests.watching import Watch, check, eventually, ids, recently

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and limits")

TURNS = 200
EVENTS = TURNS * 3
NEW = ("--input-context", "new")
KILLS = 30


@pytest.fixture
def sessions(tmp_path):
    story = SessionWriter(tmp_path / "sessions" / "s.jsonl")
    for turn in range(TURNS):
        story.turn(f"prompt {turn}", "answer")
    return tmp_path / "sessions"


def zeros(content: bytes) -> bytes:
    return bytes(len(content))


def garbage(content: bytes) -> bytes:
    return random.Random(1).randbytes(len(content))


def end_overwritten(content: bytes) -> bytes:
    return content[:8192] + b"\xff" * (len(content) - 8192)


def cut_off(content: bytes) -> bytes:
    return content[:9000]


def first_page_spoiled(content: bytes) -> bytes:
    return content[:100] + b"\xff" * 3996 + content[4096:]


DAMAGES = (zeros, garbage, end_overwritten, cut_off, first_page_spoiled)


def spoil(command, server, sessions, damage):
    """A ledger that knows all events, and then is damaged; returns its bytes."""
    assert command.send(server, sessions, *NEW).code == 0
    content = damage(command.ledger.read_bytes())
    command.ledger.write_bytes(content)
    return content


def aside(command):
    return sorted(command.ledger.parent.glob("*.corrupt-*"))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_ledger_is_left_alone_without_a_yes_and_set_aside_with_one(
    command, server, sessions, damage
):
    content = spoil(command, server, sessions, damage)
    refused = command.send(server, sessions, *NEW)
    assert refused.code == 2
    (line,) = refused.error_lines
    assert "is damaged" in line
    assert "--yes" in line
    assert command.ledger.read_bytes() == content
    assert (aside(command), server.duplicates) == ([], 0)

    renewed = command.send(server, sessions, *NEW, "--yes", "--json")
    assert (renewed.code, renewed.json["delivered"]) == (0, EVENTS)
    (moved,) = aside(command)
    assert [line for line in renewed.error_lines if str(moved) in line]
    assert moved.read_bytes() == content
    assert server.duplicates == EVENTS, "the same envelopes again"
    assert command.send(server, sessions, *NEW, "--json").json["already_delivered"] == EVENTS


@pytest.mark.parametrize("arguments", [["preview"], ["status"]])
@pytest.mark.parametrize("damage", DAMAGES)
def test_reading_a_damaged_ledger_is_one_line_and_changes_nothing(
    command, server, sessions, damage, arguments
):
    spoil(command, server, sessions, damage)
    before = {file.name: file.read_bytes() for file in command.ledger.parent.iterdir()}
    done = command(*arguments, sessions, **command.destination(server))
    assert done.code == 2
    (line,) = done.error_lines
    assert "is damaged" in line
    assert {file.name: file.read_bytes() for file in command.ledger.parent.iterdir()} == before


@pytest.mark.parametrize("options", [[], ["--backfill"], ["--once"]])
def test_watch_refuses_a_damaged_ledger_and_says_what_to_do(command, server, sessions, options):
    SessionWriter(sessions / "new.jsonl", "new", start=recently()).turn("new", "one")
    content = spoil(command, server, sessions, zeros)
    requests = len(server.requests)
    done = command("watch", sessions, *options, **command.destination(server))
    assert done.code == 2
    assert "backfill --yes" in done.error_lines[-1]
    assert command.ledger.read_bytes() == content
    assert len(server.requests) == requests


def test_a_file_that_was_never_a_ledger_is_not_moved_even_with_a_yes(command, server, sessions, tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_text("milk, bread\n")
    done = command.send(server, sessions, "--state", notes, "--yes")
    assert done.code == 2
    assert "is no ledger" in done.err
    assert notes.read_text() == "milk, bread\n"
    assert server.requests == []


def test_damage_that_shows_while_recording_is_remembered_for_the_next_start(command, server, sessions):
    spoil(command, server, sessions, end_overwritten)
    with Ledger.open(command.ledger) as ledger, pytest.raises(DamagedLedgerError):
        ledger.record(1, [str(uuid.UUID(int=n << 110)) for n in range(2**16)], 1)
    with pytest.raises(DamagedLedgerError):
        Ledger.open(command.ledger)
    moved = set_aside(command.ledger)
    assert moved.exists()
    with Ledger.open(command.ledger) as ledger:
        assert ledger.count() == 0


def test_a_ledger_that_the_user_moved_away_leaves_no_trouble_behind(command, server, sessions):
    spoil(command, server, sessions, end_overwritten)
    assert command.send(server, sessions, *NEW).code == 2
    command.ledger.rename(command.ledger.with_name("away"))
    assert command.send(server, sessions, *NEW).code == 0


@posix_only
@pytest.mark.parametrize("answers", ["n", "y"])
def test_at_a_terminal_it_asks_once_whether_to_begin_a_new_ledger(command, server, sessions, answers):
    pty = pytest.importorskip("pty")
    content = spoil(command, server, sessions, zeros)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "importer", "backfill", str(sessions), *NEW],
        env=command.environment(TERM="xterm-256color", COLUMNS="100", **command.destination(server)),
        cwd=command.home,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    written = b""

    def says(what: bytes) -> bool:
        nonlocal written
        while select.select([ours], [], [], 0)[0]:
            try:
                written += os.read(ours, 65536)
            except OSError:  # Linux: the other side is closed
                break
        return what in written

    try:
        eventually(lambda: says(b"begin a new one? [y/N]"), "the question")
        os.write(ours, f"{answers}\n".encode())
        if answers == "y":
            eventually(lambda: says(b"Send them? [y/N]"), "the usual question")
            os.write(ours, b"y\n")
        eventually(lambda: says(b"\0never") or process.poll() is not None, "its end")
        says(b"")
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert written.count(b"begin a new one?") == 1
    if answers == "y":
        assert process.returncode == 0
        assert [file.read_bytes() for file in aside(command)] == [content]
        assert server.duplicates == EVENTS
    else:
        assert process.returncode == 2
        assert command.ledger.read_bytes() == content
        assert server.duplicates == 0


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of its own with 1.5 MB; only root can make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = sys.platform == "linux" and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", folder], capture_output=True, check=False
    )
    if not made or made.returncode:
        pytest.skip("mounting a small disk needs Linux and root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder):
    """A file that takes the rest of the disk."""
    ballast = folder / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return ballast


def test_a_backfill_onto_a_full_disk_stops_in_one_line_and_goes_on_later(
    command, server, tmp_path, small_disk
):
    for number in range(5):
        story = SessionWriter(tmp_path / "sessions" / f"{number}.jsonl", f"s-{number}")
        for turn in range(1000):
            story.turn(f"prompt {number} {turn}", "answer")
    state = ("--state", small_disk / "l.sqlite3")
    first = command.send(server, tmp_path / "sessions", *NEW, *state, "--json")
    assert first.code == 1
    (line,) = first.error_lines
    assert "full" in line
    assert "free space" in line
    assert 0 < first.json["delivered"] < 15_000
    # PostHog has what was under way, too, which the ledger could not note.
    assert first.json["delivered"] < len(server.accepted) < 15_000
    seen = command("preview", tmp_path / "sessions", *state, "--json", **command.destination(server))
    assert seen.code == 0

    requests = len(server.requests)
    still_full = command.send(server, tmp_path / "sessions", *NEW, *state)
    assert still_full.code == 1
    (line,) = still_full.error_lines
    assert "make room" in line
    assert len(server.requests) == requests, "the same batches are not sent again and again"

    unnoted = len(server.accepted) - first.json["delivered"]
    subprocess.run(["mount", "-o", "remount,size=20m", small_disk], check=True)
    again = command.send(server, tmp_path / "sessions", *NEW, *state, "--json")
    assert again.code == 0
    assert again.json["already_delivered"] == first.json["delivered"]
    assert again.json["already_delivered"] + again.json["delivered"] == len(server.accepted) == 15_000
    assert server.duplicates == unnoted


@posix_only
def test_a_file_size_limit_is_one_line_too(command, server, tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    for turn in range(1000):
        story.turn(f"prompt {turn}", "answer")
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000));"
        "from importer.__main__ import command; command()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", limited, "backfill", str(tmp_path / "s.jsonl"), *NEW],
        env=command.environment(**command.destination(server)),
        cwd=command.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    done = finish(process)
    assert done.code == 1
    (line,) = done.error_lines
    assert "cannot be used" in line
    taken = len(server.accepted)
    assert 0 < taken < 3000
    assert command.send(server, tmp_path / "s.jsonl", *NEW).code == 0
    assert len(server.accepted) == 3000
    assert server.duplicates < taken


def test_watch_pauses_on_a_full_disk_says_so_and_goes_on_when_there_is_room(
    command, server, tmp_path, small_disk
):
    folder = tmp_path / "sessions"
    story = SessionWriter(folder / "s.jsonl", start=recently())
    with Watch(command, server, folder, "--state", small_disk / "l.sqlite3", "--settle", 0) as watch:
        story.turn("before", "one")
        eventually(lambda: len(ids(server)) == 3, "the first run")
        ballast = fill(small_disk)
        number = 60
        for turn in range(number):
            story.turn(f"prompt {turn}", "answer")
            time.sleep(0.02)
        time.sleep(1.5)
        seen = len(server.requests)
        time.sleep(1.5)
        assert len(server.requests) == seen, "nothing is sent while nothing can be noted"
        assert watch.process.poll() is None
        ballast.unlink()
        eventually(lambda: len(ids(server)) >= 3 + 3 * number - 2, "the rest")
        finished = watch.stop()
    assert finished.code == 0
    assert "delivery pauses" in finished.err
    assert "full" in finished.err
    assert server.duplicates == 0
    assert server.violations == []


def test_a_newer_ledger_is_refused_and_untouched(command, server, sessions):
    with contextlib.closing(Ledger.open(_made(command.ledger))):
        pass
    database = sqlite3.connect(command.ledger)
    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    database.close()
    before = command.ledger.read_bytes()
    for arguments in (["backfill", "--yes"], ["watch", "--once"], ["preview"], ["status"]):
        done = command(arguments[0], sessions, *arguments[1:], **command.destination(server))
        assert done.code == 2
        (line,) = done.error_lines
        assert "newer pi2posthog" in line
    assert command.ledger.read_bytes() == before
    assert server.requests == []


def _made(path):
    path.parent.mkdir(parents=True)
    return path


def test_a_second_backfill_is_refused_while_preview_and_status_read(command, server, sessions):
    assert command.send(server, sessions, *NEW, "--until", "2025-03-01T10:05:00Z").code == 0
    known = len(server.accepted)
    server.faults = [Fault(delay_s=4)]
    process = command.start("backfill", sessions, *NEW, **command.destination(server))
    eventually(lambda: len(server.requests) >= 2, "its request")
    second = command.send(server, sessions, *NEW, "--yes")
    assert second.code == 2
    (line,) = second.error_lines
    assert f"in use by process {process.pid}" in line
    status = command("status", sessions, "--json", **command.destination(server)).json
    assert (status["running"], status["pid"]) == (True, process.pid)
    assert status["destinations"][0]["delivered"] == known
    preview = command("preview", sessions, "--json", **command.destination(server))
    assert preview.code == 0
    assert process.poll() is None, "the first was still at work"
    assert finish(process).code == 0
    assert len(server.accepted) == EVENTS
    assert server.duplicates == 0


@posix_only
def test_killed_at_30_random_moments_a_backfill_ends_with_exactly_the_set(command, tmp_path):
    chance = random.Random(20261124)
    folder = tmp_path / "sessions"
    at_work = 0
    with PostHogServer() as server:
        for kill in range(KILLS):
            story = SessionWriter(folder / f"{kill}.jsonl", f"session-{kill}")
            for turn in range(TURNS):
                story.turn(f"prompt {kill} {turn}", "answer")
            # An answer that gets lost now and then: taken, but not known to be.
            server.faults = [
                Fault(delay_s=chance.uniform(0, 0.2), reset="after" if chance.random() < 0.1 else None)
                for _ in range(50)
            ]
            before = len(server.requests)
            process = command.start("backfill", folder, *NEW, **command.destination(server))
            if kill % 4:  # around its requests and the ledger's writes, which is what matters
                eventually(lambda: len(server.requests) > before)  # noqa: B023
                time.sleep(chance.uniform(0, 0.25))
            else:
                time.sleep(chance.uniform(0.2, 1.2))
            at_work += process.poll() is None
            process.send_signal(signal.SIGKILL)
            process.communicate()
        server.faults = []
        done = command.send(server, folder, *NEW, "--json")
        assert done.code == 0
        assert done.json["already_delivered"] + done.json["delivered"] == KILLS * EVENTS
        check(server, folder, input_context="new")
        with Ledger.open(command.ledger, read_only=True) as ledger:
            ledger.check()
            assert ledger.count() == len(server.accepted) == KILLS * EVENTS
        assert server.duplicates > 0, "some kills came between PostHog's yes and the ledger's"
        assert at_work > KILLS / 2


@posix_only
def test_killed_while_it_is_created_a_ledger_is_usable(tmp_path):
    chance = random.Random(7)
    create = (
        "import sys, pathlib; from importer.ledger.ledger import Ledger\n"
        "for n in range(10**6):\n"
        "    print(n, flush=True)\n"
        "    Ledger.open(pathlib.Path(sys.argv[1]) / str(n) / 'l').close()\n"
    )
    states = set()
    for kill in range(40):
        folder = tmp_path / str(kill)
        process = subprocess.Popen(
            [sys.executable, "-c", create, str(folder)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.uniform(0, 0.02))
        process.kill()
        rest, _ = process.communicate()
        path = folder / (rest.split()[-1] if rest.split() else "0") / "l"
        states.add(frozenset(file.name for file in path.parent.glob("*")))
        with Ledger.open(path, read_only=True) as reader:
            assert reader.count() == 0
        with Ledger.open(path) as ledger:
            ledger.record(ledger.destination_id("http://x", "k"), [str(uuid.UUID(int=1))], 1)
            assert ledger.count() == 1
    assert len(states) > 1, "the kills came at different moments"
