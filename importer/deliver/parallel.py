"""Runs several requests at once: in threads, which hand what happened to the one thread that waits.

So the ledger, the counters and the session files belong to one thread, however many requests are under way.
`ThreadPoolExecutor` was considered. Its threads keep a program from ending until their requests are answered,
which takes a minute where a server hangs, and it has no way for a job to report before it ends.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from typing import NoReturn, Protocol

from importer.deliver.transport import Connection

Call = Callable[[], None]
Say = Callable[[Call], None]
Job = Callable[[Connection, Say], Call]
"""Works over a connection, may say something on its way, and returns what to call at its end."""

_SLICE_S = 0.25  # an interrupt is noticed within this time, on every platform


class Workers(Protocol):
    """Runs jobs, each over a connection of its own. What they say is called in the caller's thread."""

    busy: int
    """Number of jobs under way."""

    most: int
    """Most jobs that may be under way at once."""

    def start(self, job: Job) -> None:
        """Begin a job. Fewer than `most` must be under way."""

    def hear(self, *, wait: bool) -> None:
        """Call what jobs have said. With `wait`, wait until one of them has ended."""

    def finish(self, timeout_s: float) -> None:
        """Wait for running jobs, for at most so many seconds. Ignore their errors."""

    def close(self) -> None:
        """Close the connections. A job still under way is left to itself."""


class Inline:
    """Runs one job at a time, in the caller's thread: Ctrl-C reaches the request itself."""

    busy = 0
    most = 1

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def start(self, job: Job) -> None:
        """Run the job to its end."""
        job(self._connection, _call)()

    def hear(self, *, wait: bool) -> None:
        """Return at once: nothing is under way."""

    def finish(self, timeout_s: float) -> None:
        """Return at once: nothing is under way."""

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Threads:
    """Runs as many jobs at once as there are connections. If a job fails, the others stop, too.

    Args:
        connections: one for each thread.
        stop: the flag that ends what waits. It is set when a job fails.
    """

    def __init__(self, connections: Sequence[Connection], stop: threading.Event) -> None:
        self.most = len(connections)
        self.busy = 0
        self._connections = connections
        self._stop = stop
        self._started = 0
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._said: SimpleQueue[tuple[bool, Call]] = SimpleQueue()

    def start(self, job: Job) -> None:
        """Hand the job to a thread."""
        if self._started <= self.busy:
            # A daemon: a request that gets no answer must not keep the program from ending.
            connection = self._connections[self._started]
            threading.Thread(target=self._work, args=(connection,), daemon=True, name="request").start()
            self._started += 1
        self.busy += 1
        self._jobs.put(job)

    def hear(self, *, wait: bool) -> None:
        """Call what was said. Raises what a job raised."""
        while wait or not self._said.empty():
            try:
                ended, call = self._said.get(timeout=_SLICE_S)
            except Empty:
                continue
            if ended:
                self.busy -= 1
                wait = False
            call()

    def finish(self, timeout_s: float) -> None:
        """Wait for running jobs. Ignore their errors."""
        end_s = time.monotonic() + timeout_s
        while self.busy and (left_s := end_s - time.monotonic()) > 0:
            with contextlib.suppress(Empty):
                ended, call = self._said.get(timeout=min(left_s, _SLICE_S))
                self.busy -= ended
                with contextlib.suppress(Exception):
                    call()

    def close(self) -> None:
        """End the threads that are idle."""
        for _ in range(self._started):
            self._jobs.put(None)
        if not self.busy:
            for connection in self._connections:
                connection.close()

    def _work(self, connection: Connection) -> None:
        while job := self._jobs.get():
            end: Call
            failed = False
            try:
                end = job(connection, lambda call: self._said.put((False, call)))
            except BaseException as error:
                end, failed = partial(_raise, error), True
            # Before the others stop, so that this error is heard first.
            self._said.put((True, end))
            if failed:
                self._stop.set()


def _call(call: Call) -> None:
    call()


def _raise(error: BaseException) -> NoReturn:
    raise error
