from __future__ import annotations

import os
import shutil
import time

import pytest
from watchdog.events import (
    DirCreatedEvent,
    DirModifiedEvent,
    FileClosedNoWriteEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileOpenedEvent,
)
from watchdog.observers.polling import PollingObserver

from importer.sessions.sources import Source
from importer.watch import observing
from importer.watch.observing import Changes, Observation, is_network_mount, observe, stamps
from tests.watching import eventually


class Seen:
    """What an observation of some paths notes, renewed all the time as the watcher does once a second."""

    def __init__(self, *paths, poll=False):
        self.changes = Changes()
        self.observation = Observation(Source(paths), self.changes, poll=poll)
        self.paths = set()
        self.moves = []

    def __enter__(self):
        self.look()
        return self

    def __exit__(self, *_):
        self.observation.__exit__()

    def look(self):
        renewed = self.observation.renew()
        paths, moves, sweep = self.changes.take()
        if renewed or sweep:
            paths += [path for path, _ in self.observation.stamps()]
        self.paths |= {path for path in paths if self.observation.covers(path)}
        self.moves += moves
        return self

    def expect(self, path):
        eventually(lambda: path in self.look().paths, f"{path} is noted")


def write(path, data="x\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(data)
    return path


def test_a_change_is_noted_once_until_it_is_taken(tmp_path):
    changes, path = Changes(), tmp_path / "s.jsonl"
    for _ in range(3):
        changes.dispatch(FileModifiedEvent(str(path)))
    assert changes.take() == ([path], [], False)
    assert changes.take() == ([], [], False)


def test_a_rename_is_noted_with_both_names(tmp_path):
    changes, source, target = Changes(), tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    changes.dispatch(FileMovedEvent(str(source), str(target)))
    assert changes.take() == ([target], [(source, target)], False)


def test_a_folder_that_came_or_went_asks_for_a_look_at_the_whole_tree(tmp_path):
    changes = Changes()
    changes.dispatch(DirModifiedEvent(str(tmp_path)))
    assert not changes.take()[2]
    changes.dispatch(DirCreatedEvent(str(tmp_path)))
    assert changes.take()[2]


def test_our_own_reading_is_no_change(tmp_path):
    changes = Changes()
    for event in (FileOpenedEvent, FileClosedNoWriteEvent):
        changes.dispatch(event(str(tmp_path / "s.jsonl")))
    assert changes.take() == ([], [], False)


def test_a_wait_ends_with_a_change_and_when_it_is_woken(tmp_path):
    changes = Changes()
    began_s = time.monotonic()
    changes.wake()
    changes.wait(60)
    changes.dispatch(FileModifiedEvent(str(tmp_path / "s.jsonl")))
    changes.wait(60)
    assert time.monotonic() - began_s < 30
    changes.take()
    changes.wait(0.01)


@pytest.mark.parametrize("poll", [False, True], ids=["native", "polling"])
def test_new_files_appends_and_renames_are_seen(tmp_path, monkeypatch, poll):
    monkeypatch.setattr(observing, "_POLL_S", 0.05)
    with Seen(tmp_path, poll=poll) as seen:
        path = write(tmp_path / "a" / "s.jsonl")
        seen.expect(path)
        seen.paths.clear()
        write(path)
        seen.expect(path)
        target = path.rename(tmp_path / "a" / "t.jsonl")
        eventually(lambda: (path, target) in seen.look().moves, "the rename")


def test_a_folder_may_come_late_go_and_come_back(tmp_path):
    folder = tmp_path / "later" / "sessions"
    with Seen(folder) as seen:
        seen.expect(write(folder / "p" / "s.jsonl"))
        for number in range(3):
            shutil.rmtree(folder)
            seen.look()
            seen.expect(write(folder / f"{number}.jsonl"))
            later = write(folder / "new" / f"{number}.jsonl")
            seen.expect(later)
            seen.paths.clear()
            write(later)
            seen.expect(later)


def test_a_folder_that_is_replaced_in_an_instant_is_observed_again(tmp_path):
    folder = tmp_path / "sessions"
    folder.mkdir()
    with Seen(folder) as seen:
        for number in range(3):
            shutil.rmtree(folder)
            folder.mkdir()  # often with the same inode
            time.sleep(0.05)  # the observer hears of it a moment later
            seen.look()
            seen.look()
            seen.expect(write(folder / f"{number}.jsonl"))
            seen.paths.clear()
            write(folder / f"{number}.jsonl")
            seen.expect(folder / f"{number}.jsonl")


def test_a_link_that_comes_late_or_is_set_anew_is_followed(tmp_path):
    link = tmp_path / "link"
    with Seen(link) as seen:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            link.unlink(missing_ok=True)
            link.symlink_to(tmp_path / name)
            seen.expect(write(tmp_path / name / "s.jsonl"))


def test_a_missing_folder_does_not_keep_the_others_waiting(tmp_path):
    with Seen(tmp_path / "missing", tmp_path / "there") as seen:
        path = write(tmp_path / "there" / "s.jsonl")
        seen.expect(path)
        seen.paths.clear()
        assert not seen.observation.renew() or seen.look()
        write(path)
        seen.expect(path)


def test_a_folder_behind_a_link_is_observed_where_it_is(tmp_path):
    real, link = tmp_path / "disk" / "sessions", tmp_path / "link"
    real.mkdir(parents=True)
    link.symlink_to(real)
    with Seen(link) as seen:
        seen.expect(write(link / "s.jsonl").resolve())
        seen.paths.clear()
        write(link / "s.jsonl")
        seen.expect(real / "s.jsonl")


def test_a_single_file_is_observed_whatever_its_name_and_its_neighbours_are_not(tmp_path):
    path = write(tmp_path / "session.txt")
    with Seen(path) as seen:
        seen.paths.clear()
        write(tmp_path / "other.jsonl")
        write(path)
        seen.expect(path)
        assert seen.paths == {path}


def test_a_file_beside_its_folder_does_not_make_the_folder_shallow(tmp_path):
    path = write(tmp_path / "s.jsonl")
    deep = write(tmp_path / "p" / "deep.jsonl")
    with Seen(tmp_path, path) as seen:
        seen.paths.clear()
        write(deep)
        seen.expect(deep)


def test_polling_takes_over_where_the_native_observer_fails(tmp_path, monkeypatch):
    def fail(self):
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr(observing.Observer, "start", fail)
    monkeypatch.setattr(observing, "_POLL_S", 0.05)
    with Seen(tmp_path) as seen:
        assert isinstance(seen.observation._observer, PollingObserver)
        seen.expect(write(tmp_path / "s.jsonl"))


def test_a_network_mount_is_polled(tmp_path, monkeypatch):
    monkeypatch.setattr(observing, "is_network_mount", lambda folder: folder == tmp_path)
    observer = observe({tmp_path: True}, Changes())
    observer.stop()
    observer.join()
    assert isinstance(observer, PollingObserver)


@pytest.mark.parametrize(
    ("place", "answer"),
    [("", True), ("a b/c", True), ("local", False), ("local/x", False), ("localhost", True), ("sshfs", True)],
)
def test_the_kind_of_a_mount_is_that_of_the_deepest_one(tmp_path, place, answer):
    mounts = tmp_path / "mounts"
    home = str(tmp_path / "home")
    mounts.write_text(
        f"/dev/vda / ext4 rw 0 0\nserver:/ {home} nfs4 rw 0 0\n\nserver:/b {home}/a\\040b cifs rw 0 0\n"
        f"/dev/vdb {home}/local xfs rw 0 0\nme@host: {home}/sshfs fuse.sshfs rw 0 0\n"
        "/dev/vdc / ext4 rw 0 0\n"
    )
    assert is_network_mount(tmp_path / "home" / place, mounts) is answer
    assert not is_network_mount(tmp_path / "elsewhere", mounts)
    assert not is_network_mount(tmp_path / "home", tmp_path / "no such file")


def test_stamps_tell_every_write_apart_and_leave_out_what_cannot_be_read(tmp_path):
    write(tmp_path / "p" / "s.jsonl")
    write(tmp_path / "p" / "notes.txt")
    named = write(tmp_path / "named.txt")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "dangling.jsonl").symlink_to(tmp_path / "nowhere")
    first = dict(stamps([tmp_path, named, tmp_path / "missing"], Source([])))
    assert set(first) == {tmp_path / "p" / "s.jsonl", named}
    assert dict(stamps([tmp_path, named], Source([]))) == first
    write(tmp_path / "p" / "s.jsonl", "more\n")
    shutil.copy(named, tmp_path / "copy")
    os.replace(tmp_path / "copy", named)
    second = dict(stamps([tmp_path, named], Source([])))
    assert all(first[path] != second[path] for path in first)
