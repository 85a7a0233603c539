"""The watcher: follow every session file of a tree and hand what is new to the sender.

Only the ledger must be kept; everything else is rebuilt from the files. A session stays in memory while it is
active, is dropped when it is not, and is read again from its start when it grows. That repeats no event: what
the ledger or the queue holds is left out.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from importer.sessions.forks import parents_first
from importer.sessions.session_file import SessionFile, read_session_file
from importer.sessions.sources import Source
from importer.settings import Settings
from importer.watch.calls import Today
from importer.watch.observing import Changes, Observation
from importer.watch.outbox import Outbox
from importer.watch.registry import Registry, find_stamps
from importer.watch.sender import Sender
from importer.watch.tail import Tail
from parsers.records import AnyRecord, Run, Trace

TICK_S = 1.0
SWEEP_S = 30.0
KEEP_S = 600.0  # a session that nobody writes to stays in memory for so long
KEEP_BYTES = 4 * 1024 * 1024  # of session files in memory, without those of the last minute
BUSY_MS = 60_000

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """How to watch.

    Attributes:
        since_ms: leave events that ended before to backfill, in ms since the epoch; None: leave none.
        settle_ms: how long a run must be quiet after its final stop before its trace is sent, in ms.
        poll: poll instead of using the platform's observer.
    """

    since_ms: int | None
    settle_ms: int
    poll: bool = False


class Watcher:
    """Follows session files and hands their events to a sender.

    Args:
        source: where to look for sessions; its folders need not exist yet.
        settings: the same as for a backfill.
        options: how to watch.
        sender: takes the events; the caller starts and closes it.
        say: takes one line for the user.
        detail: takes one line for a user who asked for more.

    Attributes:
        tails: the sessions in memory, by path.
        today: today's model calls.

    Example:
        >>> sender.start()
        >>> watcher = Watcher(source, settings, WatchOptions(None, 20_000), sender, print)
        >>> watcher.run()  # until another thread or a signal handler calls watcher.stop()
    """

    def __init__(
        self,
        source: Source,
        settings: Settings,
        options: WatchOptions,
        sender: Sender,
        say: Say,
        detail: Say = lambda line: None,
    ) -> None:
        self._source = source
        self._settings = settings
        self._options = options
        self._sender = sender
        self._say = say
        self._detail = detail
        self._said: set[str] = set()
        self._registry = Registry(options.since_ms)
        self._due_ms: dict[Path, int] = {}  # when to look again at sessions that were dropped
        self._stopped = False
        self._on_tick: Callable[[], None] = lambda: None
        self._outbox = Outbox(settings, options.since_ms, sender)
        self._changes = Changes()
        self._observation = Observation(source, self._changes, poll=options.poll)
        self.tails: dict[Path, Tail] = {}
        self.today = Today(settings=settings)
        importlib.import_module("pandas")  # takes 0.3 s, which the first trace would wait for

    def stop(self) -> None:
        """Make :meth:`run` or :meth:`run_once` return soon; for signal handlers and other threads."""
        self._stopped = True
        self._changes.wake()

    def run(self, on_tick: Callable[[], None] = lambda: None) -> None:
        """Follow the files until :meth:`stop`.

        Args:
            on_tick: called once a second and after every change.

        Raises:
            Pi2PosthogError: the delivery ended for good.
        """
        self._on_tick = on_tick
        swept_s = ticked_s = float("-inf")
        with self._observation:
            while not self._stopped:
                self._sender.check()
                now_s = time.monotonic()
                is_tick = now_s - ticked_s >= TICK_S
                paths, moves, must_sweep = self._changes.take()
                if (is_tick or must_sweep) and self._observation.renew():
                    must_sweep = True
                    self._detail(f"observing: {self._observation.method or 'no such folder yet'}")
                self._follow_renames(moves)
                if must_sweep or now_s - swept_s >= SWEEP_S:
                    swept_s = now_s
                    paths = [*paths, *self._sweep()]
                self.read(paths)
                if is_tick:
                    ticked_s = now_s
                    self._tick(now_s)
                on_tick()
                self._changes.wait(TICK_S)

    def run_once(self) -> None:
        """Read all files once and wait until their events are delivered, or until :meth:`stop`.

        Raises:
            Pi2PosthogError: the delivery ended for good.
        """
        self.read(self._sweep())
        while not self._stopped:
            self._reread_refused()
            self.settle(_now_ms())
            if not self._outbox.refused and self._sender.drain(TICK_S):
                return
            self._sender.check()

    def read(self, paths: Iterable[Path]) -> None:
        """Read what is new in files and queue its events, parents before their forks."""
        fresh: list[SessionFile] = []
        for path in dict.fromkeys(paths):
            if path in self.tails:
                self._read_file(path)
                self._limit_memory()
            elif self._observation.covers(path):
                found = read_session_file(path, self._source.agent_in(path.parent))
                if isinstance(found, SessionFile):
                    fresh.append(found)
                elif found.serious:
                    self._registry.forget(path)  # the next sweep tries again
                    if path.exists():
                        self._say_once(f"{path}: {found.reason}, tried again later")
        for file in parents_first(fresh):
            if self._stopped:
                return
            self._sender.check()
            self._read_file(cast(Path, file.path))
            self._limit_memory()
            self._on_tick()

    def settle(self, now_ms: int) -> None:
        """Queue the traces of the runs that have ended by ``now_ms`` (ms since the epoch)."""
        for path in list(self.tails):
            self._settle_tail(path, now_ms)
        due = [path for path, due_ms in self._due_ms.items() if due_ms <= now_ms]
        for path in due:
            del self._due_ms[path]
        self.read(due)

    def _tick(self, now_s: float) -> None:
        self.today.begin_day()
        self.settle(_now_ms())
        self._reread_refused()
        for path, tail in list(self.tails.items()):
            if now_s - tail.used_s >= KEEP_S:
                self._drop_tail(path)

    def _settle_tail(self, path: Path, now_ms: int, *, again: bool = False) -> bool:
        """Queue the traces of one session's ended runs; return False if the queue is full."""
        tail = self.tails[path]
        records = tail.finish(now_ms, self._options.settle_ms)
        is_queued = True
        if records and tail.has_grown():  # the run may go on in lines that no observer reported
            is_queued = self._read_file(path, again=again)
            records = tail.finish(now_ms, self._options.settle_ms)
        if records and is_queued and (is_queued := self._queue(tail, records, again=again)):
            tail.settled.update(record.id for record in records)
        return is_queued

    def _sweep(self) -> list[Path]:
        """Find the files that changed since the last sweep."""
        return self._registry.find_changed(find_stamps(self._observation.roots, self._source), self.tails)

    def _read_file(self, path: Path, *, again: bool = False) -> bool:
        """Read what is new in a file and queue its events; return False if the queue is full."""
        tail = self.tails.get(path)
        if tail is None:
            tail = self.tails[path] = Tail(path, self._settings, self._source.agent_in(path.parent))
            self._detail(f"{path}: followed")
        try:
            records = tail.read()
        except FileNotFoundError:
            # The tail stays in memory until its traces are sent.
            self._registry.forget(path)
            self._detail(f"{path}: deleted")
            return True
        except OSError as error:
            self._registry.forget(path)  # the next sweep tries again
            self._say_once(f"{path}: cannot be read: {error.strerror or error}, tried again later")
            return True
        for record in records:
            self.today.add(record)
        for warning in tail.list_warnings():
            self._say_once(warning)
        return self._queue(tail, records, again=again)

    def _queue(self, tail: Tail, records: Sequence[AnyRecord], *, again: bool = False) -> bool:
        still_open: set[str] = set()
        if any(record.copied for record in records if isinstance(record, Run | Trace)):
            older = (other for other in self.tails.values() if other.started_ms < tail.started_ms)
            still_open.update(*(other.session.open_traces() for other in older))
        return self._outbox.queue(tail, records, still_open, again=again)

    def _reread_refused(self) -> None:
        """Read the refused files again from their start, as far as the queue has room."""
        while not self._stopped and (path := self._outbox.find_refused()):
            self.tails.pop(path, None)
            # Its ended runs as well: while other files are refused, the queue would refuse their traces.
            is_queued = self._read_file(path, again=True) and self._settle_tail(path, _now_ms(), again=True)
            self._limit_memory()
            if not is_queued:
                return
            del self._outbox.refused[path]
            if not path.exists():
                self._say(f"{path}: deleted before all of it was delivered")

    def _follow_renames(self, moves: Iterable[tuple[Path, Path]]) -> None:
        """Follow renamed files, given as (from, to), under their new names."""
        for source, target in moves:
            if not self._observation.covers(target):
                continue  # what was read before is still sent
            self._outbox.rename(source, target)
            self._registry.rename(source, target)
            if source in self._due_ms:
                self._due_ms[target] = self._due_ms.pop(source)
            if source in self.tails:
                tail = self.tails[target] = self.tails.pop(source)
                tail.path = target
                self._detail(f"{source}: renamed to {target}")

    def _limit_memory(self) -> None:
        """Drop sessions beyond KEEP_BYTES, those read longest ago first, but none that is being written."""
        size = sum(tail.offset for tail in self.tails.values())
        for path, tail in sorted(self.tails.items(), key=lambda item: item[1].used_s):
            if size <= KEEP_BYTES:
                return
            if _now_ms() - tail.activity.last_ms >= BUSY_MS:
                size -= tail.offset
                self._drop_tail(path)

    def _drop_tail(self, path: Path) -> None:
        """Drop a session from memory, and note when its open traces may have ended."""
        now_ms = _now_ms()
        self._settle_tail(path, now_ms)
        tail = self.tails.pop(path)
        due_ms = tail.find_due_ms(now_ms, self._options.settle_ms)
        if due_ms is not None:
            self._due_ms[path] = due_ms

    def _say_once(self, line: str) -> None:
        """Say a line unless it was said before."""
        if line not in self._said:
            self._said.add(line)
            self._say(line)


def _now_ms() -> int:
    return round(time.time() * 1000)
