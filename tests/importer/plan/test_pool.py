"""A pool's results come in the order of the tasks, whatever happens to its workers."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from importer.plan import pool
from importer.plan.pool import WorkerPool

LARGE = 1_000_000  # bytes: more than a pipe holds


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """The folder for temporary files; at the end, the pool has left none."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield folder
    assert list(folder.iterdir()) == []


def large(task, size):
    return os.getpid(), bytes([task % 256]) * size


def contents(results):
    return [data[:1] * len(data) for _, data in results] == [data for _, data in results], [
        data[0] for _, data in results
    ]


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_results_come_in_the_order_of_the_tasks(method, processes):
    with WorkerPool(large, (10,), range(40), processes) as made:
        results = list(made.results())
    assert contents(results) == (True, list(range(40)))
    assert os.getpid() not in {pid for pid, _ in results}


@pytest.mark.parametrize("victims", [1, 2])
def test_workers_that_are_killed_lose_no_task_and_hold_nobody_up(method, victims):
    with WorkerPool(large, (LARGE,), range(30), 2) as made:
        results = made.results()
        got = [next(results)]
        for worker in multiprocessing.active_children()[:victims]:
            worker.kill()
        got += results
    assert contents(got) == (True, list(range(30)))
    assert os.getpid() in {pid for pid, _ in got}


class KilledWhileWritten:
    """A result that kills its worker when a part of it is in the file."""

    def __init__(self, task, parent):
        self.start, self.task, self.parent = bytes(LARGE), task, parent

    def __reduce__(self):
        return int, (Killer(self.parent),) if os.getpid() != self.parent else (self.task,)


class Killer:
    def __init__(self, parent):
        self.parent = parent

    def __reduce__(self):
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def killed_while_written(task, parent):
    return [bytes(LARGE), KilledWhileWritten(task, parent) if task == 3 else task]


def test_a_worker_that_is_killed_while_it_writes_a_result_holds_nobody_up(method):
    with WorkerPool(killed_while_written, (os.getpid(),), range(12), 2) as made:
        results = [last for _, last in made.results()]
    assert [each if isinstance(each, int) else each.task for each in results] == list(range(12))


def endless(task):
    time.sleep(600)


def test_the_end_waits_for_no_worker(method):
    with WorkerPool(endless, (), range(12), 2):
        processes = multiprocessing.active_children()
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 20
    assert len(processes) == 2
    assert not any(process.is_alive() for process in processes)


def fails_at_three(task):
    if task == 3:
        raise ValueError("three")
    return task


def test_what_a_task_raises_is_raised_here_and_the_worker_says_nothing(method, capfd):
    got = []
    with pytest.raises(ValueError, match=r"^three$"), WorkerPool(fails_at_three, (), range(9), 2) as made:
        got.extend(made.results())
    assert got == [0, 1, 2]
    assert capfd.readouterr() == ("", "")


def test_where_no_process_can_be_started_all_is_done_here(method, monkeypatch):
    def no_memory(self):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(type(pool.process_context().Process()), "start", no_memory)
    with WorkerPool(large, (5,), range(9), 3) as made:
        assert {pid for pid, _ in made.results()} == {os.getpid()}


def test_where_no_file_can_be_written_all_is_done_here(method, monkeypatch):
    def no_space(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryDirectory", no_space)
    with WorkerPool(large, (5,), range(9), 3) as made:
        assert {pid for pid, _ in made.results()} == {os.getpid()}


def test_only_so_many_results_wait(method, tmp_path):
    done = tmp_path / "done"
    done.mkdir()
    with WorkerPool(noted, (done,), range(50), 2) as made:
        next(made.results())
        time.sleep(1)
        assert 2 <= len(list(done.iterdir())) <= 2 * pool._AHEAD + 1


def noted(task, folder):
    (folder / str(task)).touch()
    return task


def test_results_wait_in_a_folder_that_only_the_user_may_read(method, temporary):
    with WorkerPool(large, (5,), range(9), 2) as made:
        next(made.results())
        (folder,) = temporary.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700


SCRIPT = """
import multiprocessing, os, sys, time
from importer.plan import pool
from importer.plan.pool import WorkerPool
def do(task):
    print(os.getpid(), flush=True)
    time.sleep(task)
if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    pool.process_context = lambda: context
    with WorkerPool(do, (), [0.1] * 4 + [60] * 4, 2) as made:
        results = made.results()
        try:
            for _ in range(4):
                next(results)
            if sys.argv[2] == "killed":
                os.kill(os.getpid(), 9)
            next(results)
        except KeyboardInterrupt:
            pass
    os._exit(3)
"""


def start(tmp_path, method, *arguments, **options):
    path = tmp_path / "parent.py"
    path.write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, path, method, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": os.getcwd(), "TMPDIR": os.environ["TMPDIR"]},
        **options,
    )


def wait_for_end(pids):
    end_s = time.monotonic() + 30
    while any(os.path.exists(f"/proc/{pid}") for pid in pids):
        assert time.monotonic() < end_s
        time.sleep(0.02)


def test_workers_end_when_their_parent_is_killed(method, tmp_path):
    parent = start(tmp_path, method, "killed")
    out, _ = parent.communicate(timeout=60)
    assert parent.returncode == -9
    pids = {int(pid) for pid in out.split()}
    assert len(pids) == 2
    wait_for_end(pids)


def test_an_interrupt_of_the_whole_group_ends_at_once_without_a_word(method, tmp_path):
    parent = start(tmp_path, method, "interrupted", start_new_session=True)
    lines = [parent.stdout.readline() for _ in range(6)]
    began_s = time.monotonic()
    os.killpg(parent.pid, signal.SIGINT)
    assert parent.communicate(timeout=60) == ("", "")
    assert time.monotonic() - began_s < 10
    assert parent.returncode == 3
    wait_for_end({int(line) for line in lines})
