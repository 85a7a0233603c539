"""The live tail: follows every session file of a tree and sends what is new, once.

State is cheap to rebuild and only the ledger is dear: a file's session is kept in memory while it is active,
dropped when it is not, and read again from its start when it grows. What the ledger or the queue has is left
out, so reading again repeats nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

from importer.sessions.discovery import SessionFile, parents_first, read_session_file
from importer.sessions.sources import Source
from importer.settings import Settings
from importer.watch.calls import Today
from importer.watch.observing import Changes, Observation, Stamp
from importer.watch.outbox import Outbox
from importer.watch.sender import Sender
from importer.watch.tail import Tail
from parsers.records import AnyRecord, Trace

SWEEP_S = 30.0
KEEP_S = 600.0
KEEP_BYTES = 4 * 1024 * 1024
BUSY_MS = 60_000
TICK_S = 1.0

Say = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """How to watch.

    Attributes:
        since_ms: events that ended before are left to backfill; None takes all.
        settle_ms: how long it must be quiet after a final stop before a run's trace is sent.
        poll: do not use the platform's observer.
    """

    since_ms: int | None
    settle_ms: int
    poll: bool = False


class Watcher:
    """Follows session files and hands their events to a sender.

    Args:
        source: where to look for sessions; nothing of it needs to exist yet.
        settings: as for a backfill.
        options: how to watch.
        sender: takes the events.
        say: takes one line for the user.
        detail: takes one line for a user who wants to know all.

    Attributes:
        tails: the sessions in memory, by path.
        today: the totals of the current day.
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
        self._known: dict[Path, Stamp] = {}
        self._due_ms: dict[Path, int] = {}
        self._stopped = False
        self._on_tick: Callable[[], None] = lambda: None
        self._outbox = Outbox(settings, options.since_ms, sender)
        self._changes = Changes()
        self._observation = Observation(source, self._changes, poll=options.poll)
        self.tails: dict[Path, Tail] = {}
        self.today = Today()

    def stop(self) -> None:
        """Have `run` or `run_once` return soon; for signal handlers and other threads."""
        self._stopped = True
        self._changes.wake()

    def run(self, on_tick: Callable[[], None] = lambda: None) -> None:
        """Follow the files until stopped.

        Args:
            on_tick: called once a second, and after every change.

        Raises:
            Pi2PosthogError: the delivery ended for good.
        """
        self._on_tick = on_tick
        swept_s = ticked_s = float("-inf")
        with self._observation:
            while not self._stopped:
                self._sender.check()
                now_s = time.monotonic()
                ticks = now_s - ticked_s >= TICK_S
                paths, moves, sweep = self._changes.take()
                if (ticks or sweep) and self._observation.renew():
                    sweep = True
                    self._detail(f"observing: {self._observation.method or 'no such folder yet'}")
                self._rename(moves)
                if sweep or now_s - swept_s >= SWEEP_S:
                    swept_s = now_s
                    paths = [*paths, *self._sweep()]
                self.read(paths)
                if ticks:
                    ticked_s = now_s
                    self._tick(now_s)
                on_tick()
                self._changes.wait(TICK_S)

    def run_once(self) -> None:
        """Read all that is there, and wait until it is delivered or we are stopped; raises as `run`."""
        self.read(self._sweep())
        while not self._stopped:
            self._resume()
            self.settle(_now_ms())
            if not self._outbox.refused and self._sender.drain(TICK_S):
                return
            self._sender.check()

    def read(self, paths: Iterable[Path]) -> None:
        """Read what is new in some files, parents before their forks."""
        fresh: list[SessionFile] = []
        for path in dict.fromkeys(paths):
            if path in self.tails:
                self._read(path)
                self._trim()
            elif self._observation.covers(path):
                found = read_session_file(path, self._source.agent_in(path.parent))
                if isinstance(found, SessionFile):
                    fresh.append(found)
                elif found.serious:
                    self._known.pop(path, None)  # the next sweep tries again
                    if path.exists():
                        self._say_once(f"{path}: {found.reason}, tried again later")
        for file in parents_first(fresh):
            if self._stopped:
                return
            self._sender.check()
            self._read(cast(Path, file.path))
            self._trim()
            self._on_tick()

    def settle(self, now_ms: int) -> None:
        """Send the traces of the runs that have ended by now."""
        for path in list(self.tails):
            self._settle(path, now_ms)
        due = [path for path, due_ms in self._due_ms.items() if due_ms <= now_ms]
        for path in due:
            del self._due_ms[path]
        self.read(due)

    def _tick(self, now_s: float) -> None:
        self.today.turn()
        self.settle(_now_ms())
        self._resume()
        for path, tail in list(self.tails.items()):
            if now_s - tail.used_s >= KEEP_S:
                self._drop(path)

    def _settle(self, path: Path, now_ms: int, *, again: bool = False) -> bool:
        """Send the traces of a session's runs that have ended; False if the queue refused something."""
        tail = self.tails[path]
        records = tail.finish(now_ms, self._options.settle_ms)
        sent = True
        if records and tail.has_grown():  # the run may go on in lines that no event told of
            sent = self._read(path, again=again)
            records = tail.finish(now_ms, self._options.settle_ms)
        if records and sent and (sent := self._send(tail, records, again=again)):
            tail.settled.update(record.id for record in records)
        return sent

    def _sweep(self) -> list[Path]:
        """The files that changed since the sweep before; on the first one, those written recently enough."""
        changed = []
        present = set()
        for path, stamp in self._observation.stamps():
            present.add(path)
            before = self._known.get(path)
            if before == stamp:
                continue
            self._known[path] = stamp
            if before is None and path not in self.tails and self._is_old(stamp):
                continue
            changed.append(path)
        for path in self._known.keys() - present:
            del self._known[path]
            self._due_ms.pop(path, None)
        return changed

    def _is_old(self, stamp: Stamp) -> bool:
        since_ms = self._options.since_ms
        return since_ms is not None and stamp.mtime_ns // 1_000_000 < since_ms

    def _read(self, path: Path, *, again: bool = False) -> bool:
        """Read what is new in a session; tell whether all of it is delivered or in the queue."""
        tail = self.tails.get(path)
        if tail is None:
            tail = self.tails[path] = Tail(path, self._settings, self._source.agent_in(path.parent))
            self._detail(f"{path}: followed")
        try:
            records = tail.read()
        except FileNotFoundError:
            # What was read of it is in memory until the trace is sent, too.
            self._known.pop(path, None)
            self._detail(f"{path}: deleted")
            return True
        except OSError as error:
            self._known.pop(path, None)  # the next sweep tries again
            self._say_once(f"{path}: cannot be read: {error.strerror or error}, tried again later")
            return True
        for record in records:
            self.today.note(record)
        for warning in tail.warnings():
            self._say_once(warning)
        return self._send(tail, records, again=again)

    def _send(self, tail: Tail, records: Sequence[AnyRecord], *, again: bool = False) -> bool:
        still_open: set[str] = set()
        if any(record.copied for record in records if isinstance(record, Trace)):
            elder = (other for other in self.tails.values() if other.started_ms < tail.started_ms)
            still_open.update(*(other.session.open_traces() for other in elder))
        return self._outbox.send(tail, records, still_open, again=again)

    def _resume(self) -> None:
        """Once the queue has room, read again from the start what it refused."""
        while not self._stopped and (path := self._outbox.next_refused()):
            self.tails.pop(path, None)
            # Its traces, too: they would be refused for the sake of the others.
            sent = self._read(path, again=True) and self._settle(path, _now_ms(), again=True)
            self._trim()
            if not sent:
                return
            del self._outbox.refused[path]
            if not path.exists():
                self._say(f"{path}: deleted before all of it was delivered")

    def _rename(self, moves: Iterable[tuple[Path, Path]]) -> None:
        """Follow a file under its new name."""
        for source, target in moves:
            if not self._observation.covers(target):
                continue  # what was read of it is still sent
            self._outbox.rename(source, target)
            _move(self._known, source, target)
            _move(self._due_ms, source, target)
            if source in self.tails:
                _move(self.tails, source, target)
                self.tails[target].path = target
                self._detail(f"{source}: renamed to {target}")

    def _trim(self) -> None:
        """Keep the sessions in memory below a bound, but for those being written: the oldest goes first."""
        size = sum(tail.offset for tail in self.tails.values())
        for path, tail in sorted(self.tails.items(), key=lambda item: item[1].used_s):
            if size <= KEEP_BYTES:
                return
            if _now_ms() - tail.activity.last_ms >= BUSY_MS:
                size -= tail.offset
                self._drop(path)

    def _drop(self, path: Path) -> None:
        """Drop a session from memory; one whose trace is not sent is looked at again when it may be."""
        now_ms = _now_ms()
        self._settle(path, now_ms)
        tail = self.tails.pop(path)
        due_ms = tail.due_ms(now_ms, self._options.settle_ms)
        if due_ms is not None:
            self._due_ms[path] = due_ms

    def _say_once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._say(line)


def _now_ms() -> int:
    return round(time.time() * 1000)


def _move(places: dict[Path, T], source: Path, target: Path) -> None:
    if source in places:
        places[target] = places.pop(source)
