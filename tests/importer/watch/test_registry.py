from __future__ import annotations

import os
import shutil
from pathlib import Path

from importer.sessions.sources import Source
from importer.watch.registry import Registry, Stamp, find_stamps

A, B = Path("a.jsonl"), Path("b.jsonl")


def stamp(size, mtime_ms=5000):
    return Stamp(1, size, mtime_ms * 1_000_000)


def write(path, data="x\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(data)
    return path


def test_a_sweep_finds_new_files_and_those_with_another_stamp():
    registry = Registry(since_ms=None)
    assert registry.find_changed([(A, stamp(1)), (B, stamp(1))]) == [A, B]
    assert registry.find_changed([(A, stamp(1)), (B, stamp(2))]) == [B]


def test_a_file_that_was_deleted_and_came_back_is_new():
    registry = Registry(since_ms=None)
    registry.find_changed([(A, stamp(1))])
    assert registry.find_changed([]) == []
    assert registry.find_changed([(A, stamp(1))]) == [A]


def test_a_new_file_last_written_before_the_start_is_left_out_until_it_changes():
    registry = Registry(since_ms=1000)
    old = [(A, stamp(1, mtime_ms=999)), (B, stamp(1, mtime_ms=1000))]
    assert registry.find_changed(old) == [B]
    assert registry.find_changed([(A, stamp(2, mtime_ms=999))]) == [A]
    assert Registry(since_ms=1000).find_changed(old, followed={A}) == [A, B]


def test_a_forgotten_file_is_found_again_and_a_renamed_one_is_not():
    registry = Registry(since_ms=None)
    registry.find_changed([(A, stamp(1))])
    registry.rename(A, B)
    assert registry.find_changed([(B, stamp(1))]) == []
    registry.forget(B)
    assert registry.find_changed([(B, stamp(1))]) == [B]


def test_a_stamp_changes_with_every_write_and_unreadable_files_have_none(tmp_path):
    write(tmp_path / "p" / "s.jsonl")
    write(tmp_path / "p" / "notes.txt")
    named = write(tmp_path / "named.txt")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "dangling.jsonl").symlink_to(tmp_path / "nowhere")
    first = dict(find_stamps([tmp_path, named, tmp_path / "missing"], Source([])))
    assert set(first) == {tmp_path / "p" / "s.jsonl", named}
    assert dict(find_stamps([tmp_path, named], Source([]))) == first
    write(tmp_path / "p" / "s.jsonl", "more\n")
    shutil.copy(named, tmp_path / "copy")
    os.replace(tmp_path / "copy", named)
    second = dict(find_stamps([tmp_path, named], Source([])))
    assert all(first[path] != second[path] for path in first)
