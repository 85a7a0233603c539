"""A backfill that a Dask cluster's workers send, while this process alone keeps the ledger.

Each task sends the events of some session files and reports what PostHog acknowledged, batch by batch. A task
whose worker died is run again elsewhere; it leaves out what was reported. So what is sent twice is at most
what was under way without an answer, and with the same envelopes.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import astuple, replace
from itertools import chain
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from importer.build.facts import facts_of
from importer.cluster.client import AHEAD, GOES_ON, PARTS, CancelledError, Cluster
from importer.cluster.count import elsewhere
from importer.cluster.messages import ROOT, STOPPED, TOPIC, Done, Sealed, Share, WantedFile, unpacked
from importer.cluster.work import send
from importer.deliver.backfill import Backfill
from importer.deliver.batching import Counters
from importer.errors import DeliveryError
from importer.ledger.ledger import Ledger
from importer.plan.counter import MOST_FILES, part_size
from importer.plan.plan import Plan
from importer.settings import Settings

if TYPE_CHECKING:
    from distributed import Future

GRACE_S = 2.0
_SLICE_S = 0.1


class ClusterBackfill(Backfill):
    """Delivers a plan by a cluster's workers.

    Args:
        plan, settings: as for :class:`Backfill`; ``parallel`` is for each worker, ``max_events_per_minute``
            for all of them.
        cluster: the cluster.
    """

    def __init__(self, plan: Plan, settings: Settings, cluster: Cluster) -> None:
        super().__init__(plan, settings)
        self._cluster = cluster
        self._run = uuid.uuid4().hex
        self._said: SimpleQueue[list[str]] = SimpleQueue()
        self._under_way_tasks: dict[str, tuple[Share, Future[Sealed]]] = {}
        self._places: dict[str, dict[bytes, int]] = {}  # in the plan, by task and id
        self._running: set[str] = set()
        self._counters: dict[str, tuple[int, ...]] = {}  # by attempt
        self._noted: set[str] = set()

    def send(self, api_key: str, ledger: Ledger) -> None:
        """Have the events sent to PostHog; the ledger learns of each batch within moments.

        Raises:
            DeliveryError: PostHog did not take the events; the outcome says what is left.
            Pi2PosthogError: the cluster failed, or the ledger could not be written.
        """
        self._ledger = ledger
        self._destination = ledger.destination_id(self._settings.host, api_key)
        threads = self._cluster.threads()
        self._workers, per_minute = _shared_out(self._settings.max_events_per_minute, threads)
        with self._cluster.listening(TOPIC, self._said.put):
            try:
                shares = self._shares(api_key, per_minute, sum(threads.values()) or 1)
                first = next(shares, None)
                if first and not first.files:  # the person comes before the events
                    self._have_sent(iter([first]), 1)
                    first = next(shares, None)
                if first:
                    self._have_sent(chain([first], shares), (sum(threads.values()) or 1) * AHEAD)
            except BaseException as error:
                with contextlib.suppress(Exception, CancelledError):
                    self._wind_up()
                if isinstance(error, DeliveryError):
                    ledger.note_error(self._destination, str(error), round(time.time() * 1000))
                raise
            finally:
                with contextlib.suppress(Exception, CancelledError):
                    self._cluster.forget([ROOT, self._run])

    def _shares(self, api_key: str, per_minute: int | None, threads: int) -> Iterator[Share]:
        """What is to send, in tasks of about the same size; the files of each in the order of the plan."""
        settings = replace(self._settings, api_key=None)
        most_bytes = part_size(sum(p.file.size for p in self._plan.files) // (threads * PARTS))
        files: list[WantedFile] = []
        places: dict[bytes, int] = {}
        size = number = 0

        def share() -> Share:
            nonlocal number
            number += 1
            self._places[str(number)] = dict(places)
            made = Share(
                self._run, str(number), list(files), settings, api_key, self._plan.now_ms, per_minute
            )
            files.clear()
            places.clear()
            return made

        for index, wanted in self._plan.find_wanted():
            ids = {uuid.UUID(each).bytes: place for each, place in wanted.items()}
            places |= ids
            if index < 0:
                yield share()
                continue
            planned = self._plan.files[index]
            totals = self._plan.totals_of_file(index)
            there = replace(planned, file=elsewhere(planned.file))
            facts = facts_of(planned.file, settings)
            files.append(WantedFile(index, there, facts, b"".join(ids), totals))
            size += planned.file.size
            if size >= most_bytes or len(files) >= MOST_FILES:
                yield share()
                size = 0
        if files:
            yield share()

    def _have_sent(self, shares: Iterator[Share], ahead: int) -> None:
        """Have the workers send some shares; returns when all is sent and recorded."""
        tasks = self._under_way_tasks
        while True:
            while len(tasks) < ahead and (share := next(shares, None)):
                tasks[share.task] = share, self._cluster.submit(send, share, self._workers)
            if not tasks:
                return
            self._hear(_SLICE_S)
            for task in [task for task, (_, future) in tasks.items() if future.done()]:
                self._finish(task)
            self._cluster.check(self._workers)

    def _hear(self, timeout_s: float) -> None:
        """Take in what the tasks say."""
        with contextlib.suppress(Empty):
            message = self._said.get(timeout=timeout_s)
            while True:
                run, task, what, more = message
                if run == self._run and task in self._places:
                    self._heard(task, what, more)
                message = self._said.get_nowait()

    def _heard(self, task: str, what: str, more: str) -> None:
        if what == "report":
            if packed := self._cluster.kept([ROOT, self._run, task, more]):
                self._take(task, packed)
        elif what == "retry":
            self.outcome.error = more
            self._report()
        elif what == "began":
            self._running.add(task)
        else:
            self._running.discard(task)

    def _finish(self, task: str) -> None:
        """Take in how a task ended."""
        share, future = self._under_way_tasks[task]
        done: Done = self._cluster.result(future)
        for packed in done.reports:
            self._take(task, packed)
        self.outcome.notes += done.notes
        for place, issues in done.issues.items():
            self._plan.files[place].issues += issues
        self._running.discard(task)
        if done.error is not None:
            stopped = done.error == STOPPED
            raise DeliveryError(f"A worker was told to stop; {GOES_ON}." if stopped else done.error)
        del self._under_way_tasks[task], self._places[task]
        self._cluster.forget([ROOT, self._run, task])
        self.outcome.files += len(share.files)
        self.outcome.bytes_read += sum(each.planned.file.size for each in share.files)
        self._report()

    def _take(self, task: str, packed: bytes) -> None:
        """Record and count what a report says, which may have been heard before."""
        report, places = unpacked(packed), self._places[task]
        ids = [report.ids[at : at + 16] for at in range(0, len(report.ids), 16)]
        new = [
            (each, size)
            for each, size in zip(ids, report.sizes, strict=True)
            if not self._plan.delivered[places[each]]
        ]
        if new:
            uuids = [str(uuid.UUID(bytes=each)) for each, _ in new]
            self._ledger.record(self._destination, uuids, round(time.time() * 1000))
            self.outcome.error = ""
        for each, size in new:
            self._plan.delivered[places[each]] = True
            self.outcome.delivered += 1
            self.outcome.bytes += size
        for note in report.notes:
            if note.uuid not in self._noted:
                self._noted.add(note.uuid)
                self.outcome.failed += note.refused
                self.outcome.notes.append(note.line)
        self._add(report.attempt, report.counters)
        self._report()

    def _add(self, attempt: str, counters: Sequence[int]) -> None:
        """Count what an attempt has done so far."""
        before = self._counters.get(attempt, (0,) * len(counters))
        after = tuple(map(max, before, counters))
        sums = zip(astuple(self.outcome.counters), before, after, strict=True)
        self.outcome.counters = Counters(*(whole - old + new for whole, old, new in sums))
        self._counters[attempt] = after

    def _wind_up(self) -> None:
        """Have all tasks stop, and take in what was acknowledged until then."""
        self._cluster.cancel([future for _, future in self._under_way_tasks.values()])
        end_s = time.monotonic() + GRACE_S
        while self._running and time.monotonic() < end_s:
            self._hear(_SLICE_S)
        for task, reports in (self._cluster.kept([ROOT, self._run]) or {}).items():
            if task in self._places:
                for packed in reports.values():
                    self._take(task, packed)


def _shared_out(per_minute: int | None, threads: dict[str, int]) -> tuple[list[str] | None, int | None]:
    """The workers that may send, and how many events a minute each; workers that come later get none."""
    if per_minute is None:
        return None, None
    workers = sorted(threads)[:per_minute]
    return workers, per_minute // max(1, len(workers))
