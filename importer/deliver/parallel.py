"""Several requests at once: jobs run in threads, and what they say is handled in the thread that waits.

So the ledger, the counters and the session files stay with one thread, however many requests are under way.
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
"""Does its work over a connection and may say something on its way; gives what to call at its end."""

_SLICE_S = 0.25  # an interrupt is noticed within this time, on every platform


class Workers(Protocol):
    """Runs jobs, each over a connection of its own."""

    busy: int
    """Jobs under way."""

    most: int
    """Jobs that may be under way at once."""

    def start(self, job: Job) -> None:
        """Begin a job; there must be fewer than `most` under way."""

    def hear(self, *, wait: bool) -> None:
        """Call what jobs have said, in the caller's thread; with `wait`, until one of them has ended."""

    def finish(self, timeout_s: float) -> None:
        """Let jobs under way end, for at most so many seconds; what they say may fail without a word."""

    def close(self) -> None:
        """Close the connections; a job still under way is left to itself."""


class Inline:
    """One job at a time, in the caller's thread: an interrupt reaches the request itself."""

    busy = 0
    most = 1

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def start(self, job: Job) -> None:
        """Run the job to its end."""
        job(self._connection, _call)()

    def hear(self, *, wait: bool) -> None:
        """Nothing is under way."""

    def finish(self, timeout_s: float) -> None:
        """Nothing is under way."""

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class Threads:
    """As many jobs at once as there are connections; a job that fails has the others stop, too."""

    def __init__(self, connections: Sequence[Connection], stop: threading.Event) -> None:
        """Take the connections, and the flag that ends what waits; it is set when a job fails."""
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
        """Call what was said; raises what a job raised."""
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
        """Hear the jobs under way out."""
        end_s = time.monotonic() + timeout_s
        while self.busy and (left_s := end_s - time.monotonic()) > 0:
            with contextlib.suppress(Empty):
                ended, call = self._said.get(timeout=min(left_s, _SLICE_S))
                self.busy -= ended
                with contextlib.suppress(Exception):
                    call()

    def close(self) -> None:
        """Let the threads go; those that are idle end."""
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
            # Said before the others stop, so that it is this error that is heard first.
            self._said.put((True, end))
            if failed:
                self._stop.set()


def _call(call: Call) -> None:
    call()


def _raise(error: BaseException) -> NoReturn:
    raise error
