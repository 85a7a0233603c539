"""Events in files: a folder of parts holds what one file holds, and holds it only when it is whole."""

from __future__ import annotations

import gzip
import json
import os
import re
import stat
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from importer.deliver.backfill import Backfill
from importer.deliver.output import FileOutput, FolderOutput, Partitions
from importer.deliver.remote_output import output_of
from importer.errors import Pi2PosthogError, UsageError
from importer.plan.plan import make_plan
from importer.sessions.discovery import find_sessions
from importer.settings import Settings
from tests.building import NOW_MS
from tests.command import SAMPLES, Command

DAY_MS = 24 * 3_600_000
NAME = re.compile(r"\d{4}-\d\d-\d\d/part-\d{5}\.jsonl\.gz")
LINUX_FULL_DISK = Path("/dev/full")


@dataclass
class Line:
    """An event of which nothing matters but its day and its length."""

    end_ms: int
    text: str
    event: str = "$ai_generation"

    def encode(self):
        return self.text.encode()


def write(output, distinct_id="me@example.com"):
    settings = Settings(distinct_id=distinct_id)
    plan = make_plan(find_sessions([SAMPLES]), settings, now_ms=NOW_MS, with_totals=True)
    Backfill(plan, settings).write(output)


def parts(folder):
    """Return the lines of each part, by its name."""
    found = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    return {name: one_stream(packed).splitlines(keepends=True) for name, packed in found.items()}


def one_stream(packed):
    """Return what the first gzip stream holds: PostHog reads no further, so it must be the only one."""
    unpacker = zlib.decompressobj(31)
    data = unpacker.decompress(packed)
    assert unpacker.eof
    assert unpacker.unused_data == b""
    return data


def test_a_folder_holds_the_lines_of_the_one_file_by_day(tmp_path):
    write(tmp_path / "one.jsonl")
    write(output_of(f"{tmp_path}/many/"))
    found = parts(tmp_path / "many")
    assert len(found) > 1
    assert all(NAME.fullmatch(name) for name in found)
    lines = [line for part in found.values() for line in part]
    assert sorted(lines) == sorted((tmp_path / "one.jsonl").read_bytes().splitlines(keepends=True))
    first, *days = sorted(found)
    assert (first, len(found[first])) == ("0000-00-00/part-00001.jsonl.gz", 1)
    assert b'"event":"$identify"' in found[first][0], "the person is read before all events"
    for name in days:
        assert {json.loads(line)["timestamp"][:10] for line in found[name]} == {name[:10]}
    assert [path.name for path in (tmp_path / "many").iterdir() if path.name.startswith(".")] == []


def test_each_line_is_what_a_managed_migration_reads(tmp_path):
    write(output_of(f"{tmp_path}/out/"))
    for part in parts(tmp_path / "out").values():
        for event in map(json.loads, part):
            assert event.keys() == {"event", "distinct_id", "timestamp", "properties", "uuid"}


def test_the_same_plan_gives_the_same_files(tmp_path):
    for name in ("a", "b"):
        write(output_of(f"{tmp_path}/{name}/"))
    a, b = (
        {p.relative_to(f): p.read_bytes() for p in f.rglob("*.gz")} for f in (tmp_path / "a", tmp_path / "b")
    )
    assert a == b
    assert len(a) > 1


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_only_the_owner_may_read_the_parts(tmp_path):
    write(output_of(f"{tmp_path}/out/"))
    for path in (tmp_path / "out", *(tmp_path / "out").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_a_folder_is_one_that_exists_or_ends_in_a_separator(tmp_path):
    (tmp_path / "there").mkdir()
    assert isinstance(output_of(str(tmp_path / "there")), FolderOutput)
    assert isinstance(output_of(f"{tmp_path}/new/"), FolderOutput)
    assert isinstance(output_of(str(tmp_path / "new")), FileOutput)
    assert isinstance(output_of(tmp_path / "new.jsonl.gz"), FileOutput)


def test_a_folder_that_holds_something_is_refused_before_anything_is_read(tmp_path):
    out = tmp_path / "out"
    write(output_of(f"{out}/"))
    before = parts(out)
    done = Command(tmp_path / "home")("backfill", "/no/such/path", "--output", out)
    assert done.code == 2
    (line,) = done.error_lines
    assert "is not empty" in line
    assert parts(out) == before


def test_a_hidden_file_and_what_a_killed_run_left_are_no_export(tmp_path):
    out = tmp_path / "out"
    (out / ".pi2posthog.part" / "2020-01-01").mkdir(parents=True)
    (out / ".pi2posthog.part" / "2020-01-01" / "part-00001.jsonl.gz").write_bytes(b"half")
    (out / ".keep").touch()
    write(out)
    assert sorted(p.name for p in out.iterdir() if p.name.startswith(".")) == [".keep", ".pi2posthog.part"]
    assert not (out / "2020-01-01").exists()


def test_a_part_never_has_more_than_its_bytes_and_all_are_in_order(tmp_path):
    names = []
    with Partitions(tmp_path, lambda path, name: names.append(name), part_bytes=100) as made:
        for number in range(50):
            made.write(Line(number // 25 * DAY_MS, f"{number:029d}"))
        made.write(Line(DAY_MS, "x" * 500))
    found = parts(tmp_path)
    assert sorted(names) == sorted(found) == list(found)
    assert [len(part) for part in found.values()] == [3] * 8 + [1] + [3] * 8 + [1, 1]
    lines = [line.rstrip() for part in found.values() for line in part]
    assert lines[:50] == [f"{number:029d}".encode() for number in range(50)]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files as Linux does")
def test_however_many_days_alternate_few_files_are_open(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    most = 0
    with Partitions(tmp_path, lambda path, name: None, most_open=5) as made:
        for number in range(200):
            made.write(Line(number % 40 * DAY_MS, str(number)))
            most = max(most, len(os.listdir("/proc/self/fd")) - before)
    assert most == 5
    assert sorted(int(line) for part in parts(tmp_path).values() for line in part) == list(range(200))


@pytest.mark.parametrize("existed", [True, False])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_what_ends_early_leaves_nothing(tmp_path, error, existed):
    out = tmp_path / "out"
    if existed:
        out.mkdir()

    def run():
        with output_of(f"{out}/").opened() as put:
            for day in range(100):
                put(Line(day * DAY_MS, "x"))
            raise error

    with pytest.raises((KeyboardInterrupt, Pi2PosthogError)) as raised:
        run()
    assert "\n" not in str(raised.value)
    assert out.exists() == existed
    assert list(tmp_path.rglob("*")) == ([out] if existed else [])


def test_a_rename_that_fails_takes_back_those_before_it(tmp_path, monkeypatch):
    rename = Path.rename

    def fails(self, target):
        if self.name == "1970-01-02":
            raise OSError(28, "No space left on device")
        return rename(self, target)

    def run():
        with output_of(f"{tmp_path}/o/").opened() as put:
            for day in range(3):
                put(Line(day * DAY_MS, "x"))

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(Pi2PosthogError, match=r"cannot write .*No space"):
        run()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not LINUX_FULL_DISK.exists(), reason="a device that is always full is Linux's")
def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    full = lambda path: os.fdopen(os.open(LINUX_FULL_DISK, os.O_WRONLY), "wb")  # noqa: E731
    monkeypatch.setattr("importer.deliver.output.create_private", full)
    with pytest.raises(Pi2PosthogError, match=r"cannot write .*No space left"):
        write(output_of(f"{tmp_path}/out/"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_one_line(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(Pi2PosthogError, match=r"cannot write .*Permission"):
        write(tmp_path / "locked")


def test_a_file_where_the_folder_should_be_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot write"):
        output_of(f"{tmp_path}/file/")


def test_a_file_is_replaced_when_the_new_one_is_whole(tmp_path):
    out = tmp_path / "events.jsonl.gz"
    properties = '"properties":{"$lib":"pi2posthog"}'
    before = gzip.compress(f'{{"event":"e","uuid":"u","distinct_id":"d",{properties}}}\n'.encode())
    out.write_bytes(before)

    def run():
        with output_of(out, force=True).opened() as put:
            put(Line(0, "x"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [before]
    with output_of(out, force=True).opened() as put:
        put(Line(0, "x"))
    assert gzip.decompress(out.read_bytes()) == b"x\n"


def test_the_command_says_what_it_wrote(tmp_path):
    done = Command(tmp_path / "home")("backfill", SAMPLES, "--output", f"{tmp_path}/out/", "--json")
    assert done.code == 0
    assert sum(map(len, parts(tmp_path / "out").values())) == done.json["delivered"] > 0


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write(FileOutput(pipe))
    reader.join(10)
    write(FileOutput(tmp_path / "file"))
    assert read == [(tmp_path / "file").read_bytes()]
    assert pipe.is_fifo()
