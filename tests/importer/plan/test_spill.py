from __future__ import annotations

import errno
import tempfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importer.errors import Pi2PosthogError
from importer.plan import spill as spilling
from importer.plan.event_index import EventIndex, uuids
from importer.plan.kept_totals import KeptTotals
from importer.plan.spill import Spill
from importer.totals import TraceTotals


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=40)), st.integers(0, 60), st.integers(0, 500), st.integers(0, 500))
def test_what_was_added_is_read_wherever_it_lies(parts, most_bytes, first, last):
    spill = Spill(most_bytes)
    whole = b""
    for part in parts:
        spill.append(part)
        whole += part
        assert len(spill) == len(whole)
        assert spill.read(0, len(spill)) == whole
        assert spill.read(first, max(first, last)) == whole[first : max(first, last)]


class FullDisk:
    """A file that takes so many bytes at once, on a disk that has room for some."""

    def __init__(self, room: int, at_once: int) -> None:
        self.file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
        self.room = room
        self.at_once = at_once

    def write(self, data):
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self.file.write(data[: min(self.room, self.at_once)])
        self.room -= written
        return written

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.mark.parametrize("at_once", [3, 100])
@pytest.mark.parametrize("room", [0, 5, 10, 25, 37, 1000])
def test_on_a_full_disk_the_rest_stays_in_memory(monkeypatch, room, at_once):
    opened = tempfile.TemporaryFile
    files = []

    def full(**options):
        monkeypatch.setattr(tempfile, "TemporaryFile", opened)
        files.append(FullDisk(room, at_once))
        return files[0]

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    spill = Spill(8)
    whole = bytes(range(100))
    for start in range(0, 100, 10):
        spill.append(whole[start : start + 10])
        assert spill.read(0, start + 10) == whole[: start + 10]
    assert len(files) == 1
    assert spill._written == min(room, 100)


def test_without_a_folder_for_temporary_files_all_stays_in_memory(monkeypatch):
    def none(**options):
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "TemporaryFile", none)
    spill = Spill(8)
    for _ in range(3):
        spill.append(b"0123456789")
    assert spill.read(5, 25) == b"56789012345678901234"


def test_a_file_that_lost_something_is_one_line():
    spill = Spill(8)
    spill.append(b"0123456789")
    assert spill._file is not None
    spill._file.truncate(4)
    assert spill.read(0, 4) == b"0123"
    with pytest.raises(Pi2PosthogError, match=r"^A temporary file cannot be read: it lost .*\.$"):
        spill.read(0, 10)


@pytest.mark.parametrize("has_cache", [False, True])
def test_the_file_has_no_name_that_others_could_find(tmp_path, monkeypatch, has_cache):
    cache, temporary = tmp_path / "cache", tmp_path / "temporary"
    monkeypatch.setattr(spilling, "default_cache", lambda: cache / "counted.sqlite3")
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    folder = cache if has_cache else temporary
    folder.mkdir()
    spill = Spill(0)
    spill.append(b"ids")
    assert spill._written == 3
    assert spill.read(0, 3) == b"ids"
    assert not list(folder.iterdir())


def test_events_come_back_in_their_order():
    index = EventIndex()
    ids = np.arange(2 * 50_000, dtype=">u8").view("V16")
    rows = np.arange(50_000) // 7
    for start in range(0, 50_000, 9_000):
        index.append(ids[start : start + 9_000], rows[start : start + 9_000])
    assert len(index) == 50_000
    parts = list(index.parts())
    assert len(parts) > 1
    assert [place.start for place, _ in parts] == [0, *(place.stop for place, _ in parts[:-1])]
    joined = np.concatenate([events for _, events in parts])
    assert joined["id"].tolist() == ids.tolist()
    assert joined["row"].tolist() == rows.tolist()
    assert index.read(49_998)["row"].tolist() == rows[-2:].tolist()
    assert uuids(index.read(1, 2)) == ["00000000-0000-0002-0000-000000000003"]


def test_totals_come_back_to_the_last_bit():
    kept = KeptTotals()
    huge = TraceTotals(2**60 + 1, 2**70, 0, -5, 0.1 + 0.2)
    kept.add(3, {"a": huge, "b": TraceTotals(0, 0, 0, 0, 0.0)})
    kept.add(5, {"c": TraceTotals(1, 2, 3, 4, 1e-323)})
    assert kept.of_file(3) == {"a": huge, "b": TraceTotals(0, 0, 0, 0, 0.0)}
    assert kept.of_file(5)["c"].cost_usd == 1e-323
    assert kept.of_file(4) == {}
