"""A backfill by the workers of a Dask cluster; only this process writes the ledger.

Each task sends the events of some session files and reports each batch that PostHog acknowledged. A task
whose worker died runs again on another one and leaves out what was reported. So only the requests that were
under way can arrive twice, with the same events and ids.
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

from importer.build.facts import find_facts
from importer.cluster.client import AHEAD, GOES_ON, PARTS, CancelledError, Cluster
from importer.cluster.count import make_absolute
from importer.cluster.messages import (
    ROOT,
    STOPPED,
    TOPIC,
    Parcel,
    Share,
    ShareResult,
    WantedFile,
    decode_report,
)
from importer.cluster.work import send
from importer.deliver.backfill import Backfill
from importer.deliver.batching import Counters
from importer.errors import DeliveryError
from importer.ledger.attempts import date_identify
from importer.ledger.ledger import Ledger
from importer.plan.counter import MOST_FILES, part_size
from importer.plan.plan import Plan
from importer.settings import Settings

if TYPE_CHECKING:
    from distributed import Future

GRACE_S = 2.0  # how long cancelled tasks may report what PostHog still acknowledged
_LISTEN_S = 0.1


class ClusterBackfill(Backfill):
    """Delivers a plan by the workers of a cluster.

    Args:
        plan: what to deliver, with the totals of its traces.
        settings: as in the plan; ``parallel`` counts for each worker, ``max_events_per_minute`` and
            ``max_mb_per_minute`` for all workers together.
        cluster: the connection.

    Example:
        >>> with connect_cluster("tcp://10.0.0.1:8786") as cluster:
        ...     backfill = ClusterBackfill(plan, settings, cluster)
        ...     backfill.send("phc_…", ledger)
        >>> backfill.outcome.delivered
        393000
    """

    def __init__(self, plan: Plan, settings: Settings, cluster: Cluster) -> None:
        super().__init__(plan, settings)
        self._cluster = cluster
        self._run = uuid.uuid4().hex
        self._messages: SimpleQueue[list[str]] = SimpleQueue()
        self._tasks: dict[str, tuple[Share, Future[Parcel]]] = {}
        self._places: dict[str, dict[bytes, int]] = {}  # of events in the plan, by task and id
        self._running: set[str] = set()
        self._counters: dict[str, tuple[int, ...]] = {}  # the latest of each attempt
        self._noted: set[str] = set()  # ids of events with a note

    def send(self, api_key: str, ledger: Ledger) -> None:
        """Send the events to PostHog; the ledger learns of each batch within moments.

        Raises:
            DeliveryError: PostHog did not take the events; the outcome says how many are left.
            Pi2PosthogError: the cluster failed, or the ledger could not be written.
        """
        self._ledger = ledger
        self._destination = ledger.destination_id(self._settings.host, api_key)
        threads = self._cluster.count_threads()
        self._workers, per_minute = _split_rate(self._settings.max_events_per_minute, threads)
        allowed = threads if self._workers is None else {each: threads[each] for each in self._workers}
        bytes_per_minute = self._settings.max_bytes_per_minute
        if bytes_per_minute is not None:  # a megabyte or more for each worker
            self._workers, _ = _split_rate(self._settings.max_mb_per_minute, allowed)
            bytes_per_minute //= max(1, len(self._workers or ()))
        with self._cluster.listen(TOPIC, self._messages.put):
            try:
                shares = self._make_shares(api_key, per_minute, bytes_per_minute, sum(threads.values()) or 1)
                first = next(shares, None)
                if first and not first.files:  # the $identify event goes before all others
                    self._send_shares(iter([first]), 1)
                    first = next(shares, None)
                if first:
                    self._send_shares(chain([first], shares), (sum(threads.values()) or 1) * AHEAD)
            except BaseException as error:
                with contextlib.suppress(Exception, CancelledError):
                    self._cancel_tasks()
                if isinstance(error, DeliveryError):
                    ledger.note_error(self._destination, str(error), round(time.time() * 1000))
                raise
            finally:
                with contextlib.suppress(Exception, CancelledError):
                    self._cluster.forget([ROOT, self._run])

    def _make_shares(
        self, api_key: str, per_minute: int | None, bytes_per_minute: int | None, threads: int
    ) -> Iterator[Share]:
        """Split what is to send into tasks of about the same size, in the order of the plan."""
        settings = replace(self._settings, api_key=None)
        most_bytes = part_size(sum(p.file.size for p in self._plan.files) // (threads * PARTS))
        files: list[WantedFile] = []
        places: dict[bytes, int] = {}
        size = number = 0

        def make_share(identified_ms: int = 0) -> Share:
            nonlocal number
            number += 1
            self._places[str(number)] = dict(places)
            share = Share(
                self._run,
                str(number),
                list(files),
                settings,
                api_key,
                self._plan.now_ms,
                per_minute,
                bytes_per_minute,
                identified_ms,
            )
            files.clear()
            places.clear()
            return share

        for index, wanted in self._plan.find_wanted():
            ids = {uuid.UUID(each).bytes: place for each, place in wanted.items()}
            places |= ids
            if index < 0:  # the $identify event
                (person,) = wanted
                now_ms = self._plan.now_ms
                yield make_share(date_identify(self._ledger, self._destination, person, now_ms))
                continue
            planned = self._plan.files[index]
            totals = self._plan.find_totals(index)
            absolute = replace(planned, file=make_absolute(planned.file))
            facts = find_facts(planned.file, settings)
            has_content = self._plan.has_content(wanted.values())
            files.append(WantedFile(index, absolute, facts, b"".join(ids), totals, has_content))
            size += planned.file.size
            if size >= most_bytes or len(files) >= MOST_FILES:
                yield make_share()
                size = 0
        if files:
            yield make_share()

    def _send_shares(self, shares: Iterator[Share], ahead: int) -> None:
        """Submit shares, at most ``ahead`` at once, and return when all are sent and recorded."""
        tasks = self._tasks
        while True:
            while len(tasks) < ahead and (share := next(shares, None)):
                tasks[share.task] = share, self._cluster.submit(send, share, self._workers)
            if not tasks:
                return
            self._listen(_LISTEN_S)
            for task in [task for task, (_, future) in tasks.items() if future.done()]:
                self._finish(task)
            self._cluster.check(self._workers)

    def _listen(self, timeout_s: float) -> None:
        """Handle the messages of tasks; wait at most ``timeout_s`` seconds for the first one."""
        with contextlib.suppress(Empty):
            message = self._messages.get(timeout=timeout_s)
            while True:
                run, task, what, more = message
                if run == self._run and task in self._places:
                    self._handle(task, what, more)
                message = self._messages.get_nowait()

    def _handle(self, task: str, what: str, more: str) -> None:
        """Handle one message: began, report, retry or ended."""
        if what == "report":
            if packed := self._cluster.load([ROOT, self._run, task, more]):
                self._record(task, packed)
        elif what == "retry":
            self.outcome.error = more
            self._report()
        elif what == "began":
            self._running.add(task)
        else:
            self._running.discard(task)

    def _finish(self, task: str) -> None:
        """Record the result of a task that ended."""
        share, future = self._tasks[task]
        done: ShareResult = self._cluster.result(future)
        for packed in done.reports:
            self._record(task, packed)
        self.outcome.notes += done.notes
        for place, issues in done.issues.items():
            self._plan.files[place].issues += issues
        self._running.discard(task)
        if done.error is not None:
            stopped = done.error == STOPPED
            raise DeliveryError(f"A worker was told to stop; {GOES_ON}." if stopped else done.error)
        del self._tasks[task], self._places[task]
        self._cluster.forget([ROOT, self._run, task])
        self.outcome.files += len(share.files)
        self.outcome.bytes_read += sum(each.planned.file.size for each in share.files)
        self._report()

    def _record(self, task: str, packed: bytes) -> None:
        """Record and count the events of a report; those that another report named already count once."""
        report, places = decode_report(packed), self._places[task]
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
            self.outcome.numbers_only += bool(self._plan.numbers_only[places[each]])
            self.outcome.bytes += size
        for note in report.notes:
            if note.uuid not in self._noted:
                self._noted.add(note.uuid)
                self.outcome.failed += note.refused
                self.outcome.notes.append(note.line)
        self._update_counters(report.attempt, report.counters)
        self._report()

    def _update_counters(self, attempt: str, counters: Sequence[int]) -> None:
        """Replace what is counted of an attempt by its latest counters; reports may come out of order."""
        before = self._counters.get(attempt, (0,) * len(counters))
        after = tuple(map(max, before, counters))
        sums = zip(astuple(self.outcome.counters), before, after, strict=True)
        self.outcome.counters = Counters(*(whole - old + new for whole, old, new in sums))
        self._counters[attempt] = after

    def _cancel_tasks(self) -> None:
        """Cancel all tasks, and record what PostHog acknowledged until they end."""
        self._cluster.cancel([future for _, future in self._tasks.values()])
        end_s = time.monotonic() + GRACE_S
        while self._running and time.monotonic() < end_s:
            self._listen(_LISTEN_S)
        for task, reports in (self._cluster.load([ROOT, self._run]) or {}).items():
            if task in self._places:
                for packed in reports.values():
                    self._record(task, packed)


def _split_rate(per_minute: int | None, threads: dict[str, int]) -> tuple[list[str] | None, int | None]:
    """Split a limit of events a minute over the workers.

    Returns:
        The addresses of the workers that may send, and the events a minute for each. Workers that join later
        get none. None and None without a limit.
    """
    if per_minute is None:
        return None, None
    workers = sorted(threads)[:per_minute]
    return workers, per_minute // max(1, len(workers))
