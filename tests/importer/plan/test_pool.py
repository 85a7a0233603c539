from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time

import pytest

from importer.plan import pool
from importer.plan.pool import Pool

LARGE = 1_000_000  # bytes: more than a pipe holds


@contextlib.contextmanager
def at_work(do, given, tasks, processes):
    made = Pool(do, given, tasks, processes)
    try:
        yield made
    finally:
        made.end()


def large(task, size):
    return os.getpid(), bytes([task % 256]) * size


def contents(answers):
    return [data[:1] * len(data) for _, data in answers] == [data for _, data in answers], [
        data[0] for _, data in answers
    ]


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_answers_come_in_the_order_of_the_tasks(method, processes):
    with at_work(large, (10,), range(40), processes) as made:
        answers = list(made.answers())
    assert contents(answers) == (True, list(range(40)))
    assert os.getpid() not in {pid for pid, _ in answers}


def test_processes_that_are_killed_while_they_write_lose_nothing_and_hold_nobody_up(method):
    with at_work(large, (LARGE,), range(12), 2) as made:
        answers = made.answers()
        got = [next(answers)]
        time.sleep(0.5)  # by now both wait for somebody to read the rest of an answer
        for worker in made.workers:
            worker.process.kill()
        got += answers
    assert contents(got) == (True, list(range(12)))
    assert os.getpid() in {pid for pid, _ in got}


def test_one_that_is_killed_leaves_its_tasks_to_this_process_and_the_others_go_on(method):
    with at_work(large, (LARGE,), range(30), 2) as made:
        answers = made.answers()
        got = [next(answers)]
        made.workers[0].process.kill()
        got += answers
    assert contents(got) == (True, list(range(30)))
    assert len({pid for pid, _ in got}) == 3


def test_the_end_waits_for_nobody_who_writes(method):
    with at_work(large, (LARGE,), range(12), 2) as made:
        time.sleep(0.5)
        processes = [worker.process for worker in made.workers]
    assert len(processes) == 2
    assert not any(process.is_alive() for process in processes)


def fails_at_three(task):
    if task == 3:
        raise ValueError("three")
    return task


def test_what_the_doing_raises_is_raised_here_and_the_process_says_nothing(method, capfd):
    got = []
    with pytest.raises(ValueError, match=r"^three$"), at_work(fails_at_three, (), range(9), 2) as made:
        got.extend(made.answers())
    assert got == [0, 1, 2]
    assert capfd.readouterr() == ("", "")


def test_where_no_process_can_be_started_all_is_done_here(method, monkeypatch):
    def no_memory(self):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(type(pool.process_context().Process()), "start", no_memory)
    with at_work(large, (5,), range(9), 3) as made:
        assert {pid for pid, _ in made.answers()} == {os.getpid()}


def test_only_so_many_answers_wait(method, tmp_path):
    with at_work(noted, (tmp_path,), range(50), 2) as made:
        next(made.answers())
        time.sleep(1)
        assert 2 <= len(list(tmp_path.iterdir())) <= 2 * pool._AHEAD + 1


def noted(task, folder):
    (folder / str(task)).touch()
    return task


PARENT = """
import os, sys, time
from importer.plan.pool import Pool
def do(task):
    print(os.getpid(), flush=True)
    time.sleep(task)
if __name__ == "__main__":
    made = Pool(do, (), [0.1] * 4, 2)
    next(made.answers())
    os.kill(os.getpid(), 9)
"""


def test_processes_end_when_their_parent_is_killed(tmp_path):
    path = tmp_path / "parent.py"
    path.write_text(PARENT)
    done = subprocess.run(
        [sys.executable, path], capture_output=True, text=True, env={"PYTHONPATH": os.getcwd()}
    )
    assert done.returncode == -9
    pids = {int(pid) for pid in done.stdout.split()}
    assert len(pids) == 2
    end_s = time.monotonic() + 30
    while any(os.path.exists(f"/proc/{pid}") for pid in pids):
        assert time.monotonic() < end_s
        time.sleep(0.02)
