"""Processes that each do some of many tasks; what comes of them comes in the order of the tasks.

The standard library's pool has one pipe for all answers: where a process is killed while it writes to it, as
by Ctrl-C or for want of memory, everybody waits for ever. Here each process has a pipe of its own, and what a
process that has gone was to do is done by this one.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, NoReturn, TypeVar

Task = TypeVar("Task")
Answer = TypeVar("Answer")

_AHEAD = 3  # tasks for each process that wait, or whose answers do


class _Worker:
    """A process, the pipe to it, and the numbers of the tasks that it was given and did not answer."""

    def __init__(self, process: BaseProcess, connection: Connection) -> None:
        self.process = process
        self.connection = connection
        self.under_way: list[int] = []

    def give(self, number: int) -> None:
        self.under_way.append(number)
        with contextlib.suppress(OSError):  # that it is gone shows when it is asked for the answer
            self.connection.send(number)


class Pool(Generic[Task, Answer]):
    """Processes at work on tasks from the moment that this is made; to be ended by :meth:`end`.

    Args:
        do: what is done with a task.
        given: what it gets besides the task.
        tasks: all of them.
        processes: how many processes; fewer, where no more can be started.
    """

    def __init__(
        self, do: Callable[..., Answer], given: tuple[Any, ...], tasks: Sequence[Task], processes: int
    ) -> None:
        self._do = do
        self._given = given
        self._tasks = tasks
        self._next = self._at = 0
        self._most_ahead = processes * _AHEAD
        self._answers: dict[int, Answer] = {}
        self.workers: list[_Worker] = []
        for _ in range(processes):
            try:
                self._start()
            except OSError:  # no memory for one, or too many are there
                break
        self._give()

    def _start(self) -> None:
        context = process_context()
        own, other = context.Pipe()
        is_fork = context.get_start_method() == "fork"
        inherited = [own, *(worker.connection for worker in self.workers)] if is_fork else []
        with other:
            process = context.Process(
                target=_work, args=(other, self._do, self._given, self._tasks, inherited), daemon=True
            )
            process.start()
        self.workers.append(_Worker(process, own))

    def answers(self) -> Iterator[Answer]:
        """What comes of the tasks, in their order; raises what the doing of one raises."""
        for number, task in enumerate(self._tasks):
            self._at = number
            self._give()
            while any(number in worker.under_way for worker in self.workers):
                self._take()
            if number in self._answers:
                yield self._answers.pop(number)
            else:
                self._next = max(self._next, number + 1)
                yield self._do(task, *self._given)

    def _give(self) -> None:
        """Give the processes tasks, to each as many as to the others."""
        for ahead in range(_AHEAD):
            for worker in self.workers:
                if len(worker.under_way) > ahead or self._next >= len(self._tasks):
                    continue
                if self._next < self._at + self._most_ahead:
                    worker.give(self._next)
                    self._next += 1

    def _take(self) -> None:
        """Wait for answers, and take those that are there."""
        asked = {worker.connection: worker for worker in self.workers if worker.under_way}
        for ready in wait(list(asked)):
            worker = asked[ready]  # type: ignore[index]
            try:
                number, answer = worker.connection.recv()
            except (EOFError, OSError):
                self.workers.remove(worker)
                worker.connection.close()
                continue
            worker.under_way.remove(number)
            self._answers[number] = answer
        self._give()

    def end(self) -> None:
        """End the processes, whatever they do."""
        for worker in self.workers:
            worker.process.kill()
            worker.process.join()
            worker.connection.close()


def process_context() -> multiprocessing.context.ForkContext | multiprocessing.context.SpawnContext:
    """How processes are started now."""
    # A fork begins at once; where other threads run, as in a program that imports this, it is not safe.
    import threading

    can_fork = sys.platform == "linux" and threading.active_count() == 1
    return multiprocessing.get_context("fork") if can_fork else multiprocessing.get_context("spawn")


def _work(
    connection: Connection,
    do: Callable[..., Any],
    given: tuple[Any, ...],
    tasks: Sequence[Any],
    inherited: Sequence[Connection],
) -> NoReturn:
    """What a process does, until it is ended or nobody is there any more."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group: the parent ends it
        gc.disable()  # a session refers to nothing in a circle, and to very much
        for other in inherited:  # else they would stay open when the parent is gone
            other.close()
        while True:
            number = connection.recv()
            connection.send((number, do(tasks[number], *given)))
    finally:
        os._exit(0)  # without a word: the parent does what was not answered, and says what is wrong with it
