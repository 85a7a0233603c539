"""What is found and read in a storage of fsspec is what is found and read in a folder."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time

import fsspec
import pytest

from importer.deliver.backfill import Backfill
from importer.deliver.output import Partitions
from importer.deliver.remote_output import output_of
from importer.errors import Pi2PosthogError, UsageError
from importer.plan.plan import make_plan
from importer.sessions import storage as storages
from importer.sessions.discovery import find_sessions
from importer.sessions.paths import resolve
from importer.sessions.remote import HEAD_BYTES
from importer.sessions.session_file import SessionFile, read_session_file
from importer.sessions.storage import RemotePath
from importer.settings import Settings
from parsers.records import Trace
from tests.building import NOW_MS, read_records
from tests.command import ROOT, SAMPLES
from tests.s3_server import upload
from tests.session_writer import SessionWriter, tool_call

FIXTURES = ROOT / "tests" / "fixtures"


@pytest.fixture
def memory():
    """The storage that fsspec keeps in memory, empty at first."""
    storage = fsspec.filesystem("memory")
    storage.store.clear()
    storage.pseudo_dirs[:] = [""]
    storages.lookup_once.cache_clear()
    yield storage
    storage.store.clear()
    storage.pseudo_dirs[:] = [""]


def lines(place, out, origin=None):
    settings = Settings()
    plan = make_plan(find_sessions([place], origin), settings, now_ms=NOW_MS, with_totals=True)
    Backfill(plan, settings).write(out)
    return out.read_bytes().splitlines()


@pytest.mark.parametrize("folder", [SAMPLES, FIXTURES / "subagents", FIXTURES / "agents" / "omp"])
def test_the_events_are_those_of_the_same_files_in_a_folder(memory, tmp_path, folder):
    upload(memory, folder, "/bucket/sessions")
    local = lines(folder, tmp_path / "local.jsonl")
    assert lines("memory://bucket/sessions", tmp_path / "memory.jsonl") == local
    assert lines(f"file://{folder}", tmp_path / "file.jsonl") == local
    assert local


def test_what_is_found_and_its_order_are_those_of_a_folder(memory, tmp_path):
    folder = tmp_path / "s"
    for name in ("b.jsonl", "a/z.jsonl", "a/b/c.jsonl", "a.jsonl", "a-b/d.jsonl"):
        SessionWriter(folder / name, name.replace("/", "-")).turn("x", "y")
    (folder / "notes.txt").write_text("no session")
    (folder / "other.jsonl").write_text("{}\n")
    (folder / "empty.jsonl").touch()
    upload(memory, folder, "/b/s")
    here, there = find_sessions([folder]), find_sessions(["memory://b/s/"])
    for mine, other in ((here.sessions, there.sessions), (here.skipped, there.skipped)):
        names = [f"memory://b/s/{each.path.relative_to(folder).as_posix()}" for each in mine]
        assert [str(each.path) for each in other] == names
    assert [each.reason for each in there.skipped] == [each.reason for each in here.skipped]
    assert [each.size for each in there.sessions] == [each.size for each in here.sessions]


def test_a_file_is_taken_whatever_its_name_and_counts_once(memory, tmp_path):
    SessionWriter(tmp_path / "s.jsonl").turn("x", "y")
    memory.pipe_file("/b/s/renamed.txt", (tmp_path / "s.jsonl").read_bytes())
    memory.pipe_file("/b/s/s.jsonl", (tmp_path / "s.jsonl").read_bytes())
    named = ["memory://b/s/renamed.txt", "memory://b/s", "memory://b/s/s.jsonl", "memory://b/s/"]
    assert [each.path.name for each in find_sessions(named).sessions] == ["renamed.txt", "s.jsonl"]


def test_agents_are_recognized_by_their_folders(memory):
    upload(memory, FIXTURES / "agents" / "openclaw" / "2026.6.11", "/backup/.openclaw")
    found = find_sessions(["memory://backup/.openclaw"])
    assert {each.agent.name for each in found.sessions} == {"openclaw"}
    assert len(found.sessions) == len(
        find_sessions([FIXTURES / "agents" / "openclaw" / "2026.6.11"], "openclaw").sessions
    )
    upload(memory, FIXTURES / "agents" / "openclaw" / "2026.6.11", "/renamed")
    assert {e.agent.name for e in find_sessions((), "memory://renamed").sessions} == {"openclaw"}


def test_a_header_behind_the_first_bytes_is_found(memory):
    title = json.dumps({"type": "title", "title": "t" * 3 * HEAD_BYTES})
    header = json.dumps({"type": "session", "id": "late", "timestamp": "2026-01-01T00:00:00Z"})
    memory.pipe_file("/b/s.jsonl", f"{title}\n{header}\n".encode())
    assert [each.session_id for each in find_sessions(["memory://b"]).sessions] == ["late"]
    found = read_session_file(RemotePath("memory://b/s.jsonl"))
    assert isinstance(found, SessionFile)
    assert found.session_id == "late"


def test_a_file_is_read_in_blocks_up_to_the_size_that_it_had(memory, monkeypatch):
    monkeypatch.setattr(storages, "_BLOCK_BYTES", 1000)
    data = b"".join(b"%05d\n" % number for number in range(2000))
    memory.pipe_file("/b/f", data + b"what came later\n")
    with RemotePath("memory://b/f", len(data)).open("rb") as file:
        assert list(file) == data.splitlines(keepends=True)
    with storages.open_remote(RemotePath("memory://b/f", len(data)), data[:300]) as file:
        assert file.read() == data
    with RemotePath("memory://b/f", len(data) + 10**6).open() as file:
        assert file.read() == data + b"what came later\n"


def test_a_storage_that_fails_in_the_middle_is_an_os_error(memory, monkeypatch):
    monkeypatch.setattr(storages, "_BLOCK_BYTES", 1000)
    memory.pipe_file("/b/f", b"x" * 5000)
    real = type(memory).cat_file

    def fails(self, path, start=None, end=None, **more):
        if start:
            raise RuntimeError("gone\naway")
        return real(self, path, start, end, **more)

    monkeypatch.setattr(type(memory), "cat_file", fails)
    with RemotePath("memory://b/f").open() as file, pytest.raises(OSError, match="gone away"):
        file.read()


def test_one_file_that_cannot_be_read_is_named_and_the_others_are_read(memory, monkeypatch):
    upload(memory, SAMPLES / "0.87.1", "/b")
    whole = len(find_sessions(["memory://b"]).sessions)
    real = type(memory).cat_file
    calls = []

    def fails(self, path, start=None, end=None, **more):
        calls.append(path)
        if path == calls[0]:
            raise PermissionError(13, "no")
        return real(self, path, start, end, **more)

    monkeypatch.setattr(type(memory), "cat_file", fails)
    found = find_sessions(["memory://b"])
    assert len(found.sessions) == whole - 1
    (skipped,) = found.skipped
    assert skipped.serious
    assert "access denied" in skipped.reason


@pytest.mark.parametrize("told", ["never", "as text", "as a moment"])
def test_a_run_is_open_while_its_file_may_have_been_written_within_a_day(memory, tmp_path, monkeypatch, told):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.user("x")
    story.assistant(tool_call("c", "bash", {"command": "ls"}), stop="toolUse")
    memory.pipe_file("/b/s.jsonl", story.path.read_bytes())
    real = type(memory).info

    def info(self, path, **more):
        known = real(self, path, **more)
        if told == "as a moment":
            return known
        del known["created"]
        return known | ({"updated": "2026-01-02T03:04:05.5Z"} if told == "as text" else {})

    monkeypatch.setattr(type(memory), "info", info)
    monkeypatch.setattr(storages.time, "time_ns", lambda: NOW_MS * 10**6)
    (file,) = find_sessions(["memory://b/s.jsonl"]).sessions
    _, records = read_records(file, Settings(), NOW_MS)
    assert any(isinstance(record, Trace) for record in records) == (told != "never")
    assert (told == "as text") == (file.mtime_ns == 1_767_323_045_500_000_000)


@pytest.mark.parametrize(
    "named", ["x::file:.jsonl", "::memory:.jsonl", "*.jsonl", "a?b.jsonl", "%2e%2e.jsonl", "..\\..\\x.jsonl"]
)
def test_no_name_in_a_file_leads_elsewhere_or_ends_the_import(memory, tmp_path, monkeypatch, named):
    story = SessionWriter(tmp_path / "s.jsonl", parentSession=f"/x/{named}")
    story.turn("x", "y")
    memory.pipe_file("/b/s/s.jsonl", story.path.read_bytes())
    memory.pipe_file("/b/other.jsonl", story.path.read_bytes())
    looked = set()
    real = type(memory).info
    monkeypatch.setattr(type(memory), "info", lambda self, path: (looked.add(path), real(self, path))[1])
    plan = make_plan(find_sessions(["memory://b/s"]), Settings(), now_ms=NOW_MS, with_totals=True)
    assert len(plan) == 3
    assert looked <= {"/b/s", "/b/s/s.jsonl", f"/b/s/{named.split(chr(92))[-1]}"}


def test_a_name_may_hold_what_fsspec_chains_with(memory, tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.turn("x", "y")
    memory.pipe_file("/b/s/odd::file.jsonl", story.path.read_bytes())
    (file,) = find_sessions(["memory://b/s"]).sessions
    assert read_records(file, Settings(), NOW_MS)[1]


def test_ctrl_c_waits_for_the_upload_and_deletes_what_it_left(memory, monkeypatch):
    real = type(memory).put_file
    began = threading.Event()

    def slow(self, path, target, **more):
        began.set()
        time.sleep(0.3)
        return real(self, path, target, **more)

    def interrupt():
        began.wait()
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(type(memory), "put_file", slow)
    plan = make_plan(find_sessions([SAMPLES]), Settings(), now_ms=NOW_MS, with_totals=True)
    killer = threading.Thread(target=interrupt)
    killer.start()
    with pytest.raises(KeyboardInterrupt):
        Backfill(plan, Settings()).write(output_of("memory://bucket/out"))
    killer.join()
    assert memory.find("/") == []


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("memory://none", "memory://none does not exist"),
        ("nosuch://x", "nosuch://x cannot be used: Protocol not known: nosuch"),
        ("gs://bucket/x", r"pip install 'pi2posthog\[remote\]' \(.*gcsfs"),
        ("s3://key:secret@bucket", r"s3://\*\*\*@bucket: an address holds no keys"),
    ],
)
def test_an_address_that_cannot_be_used_is_one_line(memory, url, says):
    with pytest.raises(UsageError, match=says) as raised:
        find_sessions([url])
    assert "\n" not in str(raised.value)
    assert "secret" not in str(raised.value)


def test_without_fsspec_the_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(UsageError, match=r"pip install 'pi2posthog\[remote\]'$"):
        find_sessions(["s3://bucket/x"])


def test_a_folder_in_a_storage_gets_the_files_that_a_folder_gets(memory, tmp_path):
    plan = make_plan(find_sessions([SAMPLES]), Settings(), now_ms=NOW_MS, with_totals=True)
    for target in (
        f"{tmp_path}/out/",
        "memory://bucket/out",
        "memory://bucket/one.jsonl.gz",
        f"{tmp_path}/one.jsonl.gz",
    ):
        plan.delivered[:] = False
        Backfill(plan, Settings()).write(output_of(target))
    here = {p.relative_to(tmp_path).as_posix(): p.read_bytes() for p in tmp_path.rglob("*.gz")}
    assert {name.removeprefix("/bucket/"): memory.cat_file(name) for name in memory.find("/bucket")} == here
    with pytest.raises(UsageError, match="memory://bucket/out is not empty"):
        output_of("memory://bucket/out/")


def test_a_file_in_a_storage_is_replaced_only_if_it_is_an_export_and_with_force(memory):
    plan = make_plan(find_sessions([SAMPLES]), Settings(), now_ms=NOW_MS, with_totals=True)
    for name in ("memory://bucket/x.jsonl", "memory://bucket/x.jsonl.gz"):
        plan.delivered[:] = False
        Backfill(plan, Settings()).write(output_of(name))
        with pytest.raises(UsageError, match=r"holds an export: .*--force"):
            output_of(name)
        output_of(name, force=True)
        memory.pipe_file(name.removeprefix("memory:/"), b"my notes")
        with pytest.raises(UsageError, match="holds no export"):
            output_of(name, force=True)


def test_nothing_is_written_below_an_address_that_is_read(memory):
    for place in ("memory://bucket/in", "memory://bucket/in/"):
        for name in ("memory://bucket/in/x.jsonl", "memory://bucket/in/out", "memory://bucket/in"):
            with pytest.raises(UsageError, match="sessions that are read"):
                output_of(name, inputs=[resolve(place)])
        output_of("memory://bucket/in2/x.jsonl", inputs=[resolve(place)])


def test_an_upload_that_fails_takes_back_what_was_uploaded(memory, monkeypatch):
    real = type(memory).put_file

    def fails(self, path, target, **more):
        if "00003" in target:
            raise RuntimeError("no room")
        return real(self, path, target, **more)

    monkeypatch.setattr(type(memory), "put_file", fails)
    small = {"part_bytes": 1, "most_open": 4}
    monkeypatch.setattr(Partitions.__init__, "__kwdefaults__", small)
    plan = make_plan(find_sessions([SAMPLES]), Settings(), now_ms=NOW_MS, with_totals=True)
    work = Backfill(plan, Settings())
    with pytest.raises(Pi2PosthogError, match="cannot write memory://bucket/out: no room"):
        work.write(output_of("memory://bucket/out"))
    assert memory.find("/") == []
    assert (work.outcome.delivered, work.outcome.bytes, work.outcome.cost_usd) == (0, 0, 0)
    assert not plan.delivered.any()
