from __future__ import annotations

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
from importer.watch.observing import Changes, Observation, is_network_mount, start_observer
from importer.watch.registry import find_stamps
from tests.watching import eventually


class Seen:
    """The paths and moves that an observation reports; it is renewed at every look."""

    def __init__(self, *paths, poll=False):
        self.changes = Changes()
        self.source = Source(paths)
        self.observation = Observation(self.source, self.changes, poll=poll)
        self.paths = set()
        self.moves = []

    def __enter__(self):
        self.look()
        return self

    def __exit__(self, *_):
        self.observation.__exit__()

    def look(self):
        renewed = self.observation.renew()
        paths, moves, must_sweep = self.changes.take()
        if renewed or must_sweep:
            paths += [path for path, _ in find_stamps(self.observation.roots, self.source)]
        self.paths |= {path for path in paths if self.observation.covers(path)}
        self.moves += moves
        return self

    def expect(self, path):
        eventually(lambda: path in self.look().paths, f"{path} is reported")


def write(path, data="x\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(data)
    return path


def test_take_returns_each_changed_path_once(tmp_path):
    changes, path = Changes(), tmp_path / "s.jsonl"
    for _ in range(3):
        changes.dispatch(FileModifiedEvent(str(path)))
    assert changes.take() == ([path], [], False)
    assert changes.take() == ([], [], False)


def test_take_returns_a_rename_with_both_names(tmp_path):
    changes, source, target = Changes(), tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    changes.dispatch(FileMovedEvent(str(source), str(target)))
    assert changes.take() == ([target], [(source, target)], False)


def test_a_new_folder_asks_for_a_sweep_and_a_modified_one_does_not(tmp_path):
    changes = Changes()
    changes.dispatch(DirModifiedEvent(str(tmp_path)))
    assert not changes.take()[2]
    changes.dispatch(DirCreatedEvent(str(tmp_path)))
    assert changes.take()[2]


def test_reading_a_file_is_no_change(tmp_path):
    changes = Changes()
    for event in (FileOpenedEvent, FileClosedNoWriteEvent):
        changes.dispatch(event(str(tmp_path / "s.jsonl")))
    assert changes.take() == ([], [], False)


def test_wait_ends_at_a_change_and_at_wake(tmp_path):
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
def test_new_files_appends_and_renames_are_reported(tmp_path, monkeypatch, poll):
    monkeypatch.setattr(observing, "_POLL_S", 0.05)
    with Seen(tmp_path, poll=poll) as seen:
        path = write(tmp_path / "a" / "s.jsonl")
        seen.expect(path)
        seen.paths.clear()
        write(path)
        seen.expect(path)
        target = path.rename(tmp_path / "a" / "t.jsonl")
        eventually(lambda: (path, target) in seen.look().moves, "the rename")


def test_a_folder_that_is_missing_deleted_and_created_again_is_observed(tmp_path):
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


def test_a_folder_that_is_deleted_and_created_between_two_looks_is_observed_again(tmp_path):
    folder = tmp_path / "sessions"
    folder.mkdir()
    with Seen(folder) as seen:
        for number in range(3):
            shutil.rmtree(folder)
            folder.mkdir()  # often gets the same inode
            time.sleep(0.05)  # the observer learns of it a moment later
            seen.look()
            seen.look()
            seen.expect(write(folder / f"{number}.jsonl"))
            seen.paths.clear()
            write(folder / f"{number}.jsonl")
            seen.expect(folder / f"{number}.jsonl")


def test_a_link_that_is_created_late_or_changed_is_followed(tmp_path):
    link = tmp_path / "link"
    with Seen(link) as seen:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            link.unlink(missing_ok=True)
            link.symlink_to(tmp_path / name)
            seen.expect(write(tmp_path / name / "s.jsonl"))


def test_a_missing_folder_does_not_delay_the_others(tmp_path):
    with Seen(tmp_path / "missing", tmp_path / "there") as seen:
        path = write(tmp_path / "there" / "s.jsonl")
        seen.expect(path)
        seen.paths.clear()
        assert not seen.observation.renew() or seen.look()
        write(path)
        seen.expect(path)


def test_a_folder_behind_a_link_is_observed_at_its_real_path(tmp_path):
    real, link = tmp_path / "disk" / "sessions", tmp_path / "link"
    real.mkdir(parents=True)
    link.symlink_to(real)
    with Seen(link) as seen:
        seen.expect(write(link / "s.jsonl").resolve())
        seen.paths.clear()
        write(link / "s.jsonl")
        seen.expect(real / "s.jsonl")


def test_a_named_file_is_observed_whatever_its_name_and_its_neighbours_are_not(tmp_path):
    path = write(tmp_path / "session.txt")
    with Seen(path) as seen:
        seen.paths.clear()
        write(tmp_path / "other.jsonl")
        write(path)
        seen.expect(path)
        assert seen.paths == {path}


def test_naming_a_file_as_well_as_its_folder_leaves_the_folder_recursive(tmp_path):
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
    observer = start_observer({tmp_path: True}, Changes())
    observer.stop()
    observer.join()
    assert isinstance(observer, PollingObserver)


@pytest.mark.parametrize(
    ("place", "answer"),
    [("", True), ("a b/c", True), ("local", False), ("local/x", False), ("localhost", True), ("sshfs", True)],
)
def test_the_deepest_mount_decides_whether_a_folder_is_on_the_network(tmp_path, place, answer):
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
