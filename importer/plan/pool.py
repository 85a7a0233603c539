"""Worker processes that share out many tasks, with the results in the order of the tasks.

The processes are those of `concurrent.futures.ProcessPoolExecutor`. It sends every result through one pipe:
in three of three tries, a worker that was killed while it sent a large one left its caller waiting for ever.
So workers write their results to files in a private folder and send only the paths: the system puts so few
bytes into a pipe all at once, or not at all.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import pickle
import shutil
import signal
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Future, ProcessPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, NamedTuple, Self, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

_AHEAD = 3  # tasks for each process that are under way, or whose results wait on the disk
_MOST_PROCESSES = 61  # Windows cannot wait for more


class WorkerPool(Generic[Task, Result]):
    """Worker processes, at work on the tasks from the moment that the pool is made.

    Where no process can be started, or one is killed, this process does the tasks that are left. Use the pool
    as a context manager::

        with WorkerPool(count_files, (settings, estimator, now_ms), parts, processes=4) as pool:
            for counted in pool.results():
                ...

    Args:
        do: does one task. Where it raises in a worker, this process tries the task again, and raises.
        given: the arguments of `do` after the task.
        tasks: the first argument of each call of `do`.
        processes: the number of workers.
    """

    def __init__(
        self, do: Callable[..., Result], given: tuple[Any, ...], tasks: Sequence[Task], processes: int
    ) -> None:
        self._do, self._given, self._tasks = do, given, tasks
        self._most_ahead = processes * _AHEAD
        self._submitted = 0
        self._futures: deque[Future[Path | None]] = deque()
        self._executor: ProcessPoolExecutor | None = None
        self._resources = contextlib.ExitStack()
        with contextlib.suppress(OSError):  # no place for a folder, or too many open files
            self._executor = self._start(min(processes, _MOST_PROCESSES))
        self._submit(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def results(self) -> Iterator[Result]:
        """Yield the result of each task, in the order of the tasks. Raises what `do` raises."""
        for number, task in enumerate(self._tasks):
            self._submit(number)
            path = _wait_for(self._futures.popleft()) if self._futures else None
            yield self._do(task, *self._given) if path is None else _read_result(path)

    def close(self) -> None:
        """End the workers, whatever they are doing, and remove their files."""
        self._executor = None
        self._futures.clear()
        self._resources.close()

    def _start(self, processes: int) -> ProcessPoolExecutor:
        context = process_context()
        folder = tempfile.TemporaryDirectory(prefix="pi2posthog-", ignore_cleanup_errors=True)
        self._resources.enter_context(folder)  # 0700
        alive, lifeline = context.Pipe(duplex=False)
        inherited = lifeline if context.get_start_method() == "fork" else None
        job = _Job(self._do, self._given, self._tasks, Path(folder.name))
        executor = ProcessPoolExecutor(processes, context, _begin_work, (job, alive, inherited))
        # Closed in the opposite order: the workers end, the executor notices, then the folder goes.
        self._resources.callback(executor.shutdown, cancel_futures=True)
        self._resources.enter_context(alive)
        self._resources.enter_context(lifeline)
        return executor

    def _submit(self, number: int) -> None:
        """Submit the tasks that may be under way while the caller waits for task `number`."""
        end = min(len(self._tasks), number + self._most_ahead)
        while self._executor and self._submitted < end:
            try:
                with _interrupts_held_back():
                    self._futures.append(self._executor.submit(_work, self._submitted))
            except (OSError, RuntimeError):  # no memory for a process or thread, or a worker was killed
                self._executor = None
            self._submitted += 1


def process_context() -> multiprocessing.context.ForkContext | multiprocessing.context.SpawnContext:
    """Return the way to start processes now: fork on Linux while this process has one thread, else spawn.

    A forked process is at work at once; one that is spawned imports everything again first. Where other
    threads run, as in a program that imports this package, a fork may copy a lock that nobody gives back.
    """
    can_fork = sys.platform == "linux" and threading.active_count() == 1
    return multiprocessing.get_context("fork") if can_fork else multiprocessing.get_context("spawn")


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Hold Ctrl-C back while processes start: until they ignore it, it would have them print a traceback."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wait_for(future: Future[Path | None]) -> Path | None:
    """Return the path of a result; None where no worker has one."""
    try:
        return future.result()
    except (BrokenExecutor, CancelledError):
        return None


def _read_result(path: Path) -> Any:
    with path.open("rb") as file:
        result = pickle.load(file)  # noqa: S301 - a worker of ours wrote it, where nobody else may write
    path.unlink()
    return result


class _Job(NamedTuple):
    """What a worker knows from its start."""

    do: Callable[..., Any]
    given: tuple[Any, ...]
    tasks: Sequence[Any]
    folder: Path


_job: _Job  # of a worker


def _begin_work(job: _Job, alive: Connection, lifeline: Connection | None) -> None:
    """Prepare a worker.

    Args:
        job: its work.
        alive: gets to its end when the pool is closed, or the parent is killed.
        lifeline: the parent's end of `alive`, which a fork copies.
    """
    global _job
    _job = job
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group, and the parent ends us
    gc.disable()  # a session has no circles of references, and very many objects
    if lifeline:
        lifeline.close()
    try:
        threading.Thread(target=_end_with_parent, args=(alive, job.folder), daemon=True).start()
    except RuntimeError:  # no memory for a thread
        os._exit(1)


def _end_with_parent(alive: Connection, folder: Path) -> None:
    """End this worker when its parent has gone, and leave no file behind."""
    with contextlib.suppress(EOFError, OSError):
        alive.recv_bytes()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


def _work(number: int) -> Path | None:
    """Do a task; return the file with its result, or None where something was raised."""
    path = _job.folder / str(number)
    try:
        with path.open("wb") as file:
            pickle.dump(_job.do(_job.tasks[number], *_job.given), file, pickle.HIGHEST_PROTOCOL)
    except BaseException:
        return None  # the parent tries again, and says what is wrong
    return path
