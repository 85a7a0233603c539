"""Several processes count what one process counts, whatever happens to them."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from benchmarks.corpus import Shape, generate
from importer.build.estimate import make_estimator
from importer.plan import counter as counting
from importer.plan import pool
from importer.plan.counter import LocalCounter, count_files, split
from importer.plan.plan import make_plan
from importer.selection import EVERYTHING
from importer.sessions import reading
from importer.sessions.discovery import find_sessions
from importer.sessions.session_file import SessionFile
from importer.settings import Settings
from parsers.counting.rows import ROW
from tests.building import NOW_MS, totals_of
from tests.command import SAMPLES
from tests.session_writer import SessionWriter

SETTINGS = Settings(distinct_id="me@example.com")
WORK = (SETTINGS, make_estimator(SETTINGS), NOW_MS)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Ten megabytes of sessions, some of them forks, and the recorded ones."""
    folder = tmp_path_factory.mktemp("corpus")
    generate(folder / "sessions", Shape(10_000_000, 40, 1.1, 1))
    shutil.copytree(SAMPLES, folder / "sessions" / "samples")
    return folder / "sessions"


def planned(found, processes, settings=SETTINGS):
    with LocalCounter(settings, make_estimator(settings), NOW_MS, processes) as counter:
        plan = make_plan(found, settings, EVERYTHING, now_ms=NOW_MS, with_totals=True, counter=counter)
        assert (counter._pool is not None) == (processes > 1)
        return plan


def assert_same(plan, other):
    assert plan.frame.equals(other.frame)
    assert totals_of(plan) == totals_of(other)
    assert plan.files == other.files
    assert plan.skipped == other.skipped


@pytest.mark.parametrize("processes", [2, 3])
def test_several_processes_make_the_same_plan_as_one(corpus, method, processes):
    found = find_sessions([corpus])
    alone = planned(found, 1)
    assert len(alone) > 1000
    assert_same(planned(found, processes), alone)


def test_every_part_is_counted_in_order(corpus, method):
    files = find_sessions([corpus]).sessions
    with LocalCounter(*WORK, 2) as counter:
        parts = list(counter.count(files))
    assert [file for part, _ in parts for file in part] == list(files)
    assert len(parts) > 4
    for part, counted in parts:
        assert counted == count_files(part, *WORK)


def test_the_processes_are_at_work_before_the_first_part_is_asked_for(corpus, method, monkeypatch, tmp_path):
    monkeypatch.setenv("COUNTED_HERE", str(tmp_path))
    monkeypatch.setattr(counting, "count_files", noted)
    with LocalCounter(*WORK, 2) as counter:
        left = counter.count(find_sessions([corpus]).sessions)
        end_s = time.monotonic() + 30
        while not list(tmp_path.iterdir()):
            assert time.monotonic() < end_s
            time.sleep(0.01)
        assert len(list(left)) > 4
    pids = {int(path.name.split("-")[0]) for path in tmp_path.iterdir()}
    assert os.getpid() not in pids
    assert 1 <= len(pids) <= 2


def noted(files, *work):
    """Count, and leave a file that says which process did."""
    Path(os.environ["COUNTED_HERE"], f"{os.getpid()}-{time.monotonic_ns()}").touch()
    return count_files(files, *work)


def dies_at(files, *work):
    """Count, but be killed at one of the parts, as if memory had run out."""
    if int(os.environ["COUNTED_BY"]) != os.getpid() and any(
        file.path.name == os.environ["DIES_AT"] for file in files
    ):
        os.kill(os.getpid(), signal.SIGKILL)
    return count_files(files, *work)


@pytest.mark.parametrize("place", [0, 0.5, -1])
def test_a_worker_that_is_killed_changes_nothing(corpus, method, monkeypatch, place):
    found = find_sessions([corpus])
    alone = planned(found, 1)
    files = [each.file for each in alone.files]
    victim = files[place if place in (0, -1) else round(len(files) * place)]
    monkeypatch.setenv("COUNTED_BY", str(os.getpid()))
    monkeypatch.setenv("DIES_AT", victim.path.name)
    monkeypatch.setattr(counting, "count_files", dies_at)
    assert_same(planned(found, 2), alone)


def test_a_worker_that_somebody_kills_while_others_work_changes_nothing(corpus, method):
    files = find_sessions([corpus]).sessions
    with LocalCounter(*WORK, 2) as counter:
        parts = counter.count(files)
        got = [next(parts)]
        multiprocessing.active_children()[0].kill()
        got += parts
    assert [file for part, _ in got for file in part] == list(files)
    for part, counted in got:
        assert counted == count_files(part, *WORK)


def test_a_file_that_vanished_is_reported_and_the_rest_is_counted(corpus, method, tmp_path):
    shutil.copytree(corpus, tmp_path / "s")
    found = find_sessions([tmp_path / "s"])
    gone = sorted(found.sessions, key=lambda file: file.size)[len(found.sessions) // 2].path
    gone.unlink()
    plan = planned(found, 2)
    assert [(s.path, s.reason, s.serious) for s in plan.skipped[len(found.skipped) :]] == [
        (gone, "cannot be read: No such file or directory", True)
    ]
    assert_same(plan, planned(found, 1))
    rest = planned(find_sessions([tmp_path / "s"]), 1)
    assert plan.files == rest.files
    assert plan.frame.equals(rest.frame)


def test_an_error_in_the_middle_of_a_file_leaves_nothing_of_it(monkeypatch, tmp_path):
    for name in ("a", "b", "c"):
        SessionWriter(tmp_path / f"{name}.jsonl", name).turn(f"prompt {name}", name, model=f"model {name}")
    files = find_sessions([tmp_path]).sessions
    real = reading._blocks

    def fails(file):
        yield from real(file)
        if file.path.name == "b.jsonl":
            raise OSError(5, "Input/output error")

    others = count_files([files[0], files[2]], *WORK)
    monkeypatch.setattr(reading, "_blocks", fails)
    found = count_files(files, *WORK)
    assert [about.error for about in found.files] == [None, "Input/output error", None]
    assert models_of(found) == models_of(others)


def models_of(columns):
    """Return the rows with the names of their models instead of their places."""
    rows = ROW.iter_unpack(columns.rows)
    return [(*row[:9], columns.model_names[row[9]], *row[10:]) for row in rows]


def test_little_is_counted_without_other_processes(monkeypatch):
    monkeypatch.setattr(pool, "WorkerPool", None)
    files = find_sessions([SAMPLES]).sessions
    with LocalCounter(*WORK, 4) as counter:
        assert [file for part, _ in counter.count(files) for file in part] == list(files)


def test_an_error_ends_the_processes(corpus, method):
    def first_only():
        with LocalCounter(*WORK, 2) as counter:
            next(iter(counter.count(find_sessions([corpus]).sessions)))
            processes.extend(multiprocessing.active_children())
            raise KeyboardInterrupt

    processes = []
    with pytest.raises(KeyboardInterrupt):
        first_only()
    assert processes
    assert not any(process.is_alive() for process in processes)


@pytest.mark.parametrize("part_bytes", [0, 1_000_000, 10**12])
def test_files_are_split_in_their_order(corpus, part_bytes):
    files = find_sessions([corpus]).sessions
    parts = list(split(files, part_bytes))
    assert [file for part in parts for file in part] == list(files)
    least, most = counting._LEAST_BYTES, counting._MOST_BYTES
    wanted = min(max(part_bytes, least), most)
    for part in parts[:-1]:
        sizes = [file.size for file in part]
        assert sum(sizes) >= wanted or len(part) == counting.MOST_FILES
        assert sum(sizes[:-1]) < wanted
    assert list(split([], part_bytes)) == []


def test_the_last_parts_are_small_so_that_all_processes_end_together():
    files = [SessionFile(Path(f"{number}.jsonl"), 400_000, 0, "s") for number in range(60)]
    sizes = [sum(file.size for file in part) for part in split(files, 4_000_000, shares=4)]
    assert sum(sizes) == 24_000_000
    assert sizes[0] == 4_000_000
    assert sizes == sorted(sizes, reverse=True)
    assert max(sizes[-2:]) <= 2 * counting._LEAST_BYTES
