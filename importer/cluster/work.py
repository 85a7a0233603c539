"""What the workers of a Dask cluster do for an import: count session files, or build events and send them.

The scheduler loads this module, too: everything else is imported where a worker needs it.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from typing import TYPE_CHECKING

import msgspec

from importer.cluster.messages import (
    ROOT,
    STOPPED,
    TOPIC,
    Done,
    Note,
    Report,
    Sealed,
    Share,
    WantedFile,
    unpacked,
)

if TYPE_CHECKING:
    from importer.build.envelope import Envelope
    from importer.deliver.pace import Pace
    from parsers.records import Issue

_LOOK_S = 0.2
_RUNS = 16  # runs whose pace a worker keeps


def count(sealed: Sealed) -> Sealed:
    """Count session files: the arguments and the result are those of `importer.plan.count.count_files`."""
    from importer.plan.count import count_files

    return Sealed(count_files(*sealed.open()))


def send(sealed: Sealed) -> Sealed:
    """Send the events of a share that are not known to be acknowledged; gives a :class:`Done`.

    It raises nothing of its own: Dask writes what a task raises to a log.
    """
    share: Share = sealed.open()
    desk = _Desk(share)
    with _told_when_cancelled() as stop:
        desk.say("began")
        try:
            return Sealed(_Sending(share, desk, stop).run())
        finally:
            desk.say("ended")


class _Desk:
    """Where the reports of a task are kept: at the scheduler."""

    def __init__(self, share: Share) -> None:
        from distributed import get_client, get_worker

        self._worker = get_worker()
        self._client = get_client()
        self._path = [ROOT, share.run, share.task]
        self.attempt = uuid.uuid4().hex
        self.reports: dict[str, bytes] = dict(self._client.get_metadata(self._path, {}))

    @property
    def threads(self) -> int:
        """Tasks that the worker may run at once."""
        return int(self._worker.state.nthreads)

    def say(self, what: str, more: str = "") -> None:
        """Tell the client something; that it is heard is not sure."""
        with contextlib.suppress(Exception):
            self._worker.log_event(TOPIC, [*self._path[1:], what, more])

    def keep(self, report: Report) -> None:
        """Keep a report; it is at the scheduler when this returns."""
        name, packed = f"{self.attempt}-{len(self.reports)}", msgspec.msgpack.encode(report)
        self.reports[name] = packed
        self._client.set_metadata([*self._path, name], packed)
        self.say("report", name)


class _Sending:
    """One attempt at a share."""

    def __init__(self, share: Share, desk: _Desk, stop: threading.Event) -> None:
        from importer.deliver.counters import Counters
        from importer.sessions.lineage import Delegations

        self._share = share
        self._desk = desk
        self._stop = stop
        self._delegations = Delegations()
        self._costs: dict[str, float] = {}
        self._counters = Counters()
        self._unsaid: list[Note] = []
        self._notes: list[str] = []
        self._issues: dict[int, list[Issue]] = {}
        self._known: set[bytes] = set()
        for packed in desk.reports.values():
            ids = unpacked(packed).ids
            self._known.update(ids[at : at + 16] for at in range(0, len(ids), 16))

    def run(self) -> Done:
        """Send; gives what to tell the client."""
        from importer.deliver.retry import DeliveryStoppedError

        error: str | None = None
        try:
            self._deliver()
        except DeliveryStoppedError:
            error = STOPPED
        except Exception as raised:
            error = _one_line(raised)
        final = msgspec.msgpack.encode(self._report_of(()))  # also what led to no yes
        return Done([*self._desk.reports.values(), final], self._notes, self._issues, error)

    def _deliver(self) -> None:
        from importer.deliver.delivery import Delivery
        from importer.deliver.retry import check_stop

        share, settings = self._share, self._share.settings
        with Delivery(
            host=settings.host,
            api_key=share.api_key,
            endpoint=settings.endpoint,
            parallel=max(1, settings.parallel // self._desk.threads),
            pace=_pace(share.run, share.per_minute) if share.per_minute else None,
            on_delivered=self._report,
            on_retry=lambda reason, wait_s: self._desk.say("retry", f"{reason}; next try in {wait_s:.1f} s"),
            on_trimmed=self._trimmed,
            on_failed=self._refused,
            stop=self._stop,
        ) as delivery:
            self._counters = delivery.counters
            for envelope in self._envelopes():
                check_stop(self._stop)
                delivery.add(envelope)
            delivery.flush()

    def _envelopes(self) -> Iterator[Envelope]:
        from importer.build.events import identify_event

        if not self._share.files:
            identify = identify_event(self._share.settings)
            if identify and uuid.UUID(identify.uuid).bytes not in self._known:
                yield identify
        for wanted in self._share.files:
            yield from self._events_of(wanted)

    def _events_of(self, file: WantedFile) -> Iterator[Envelope]:
        from importer.deliver.building import events_of
        from importer.deliver.notes import changed, unreadable
        from parsers.records import Generation

        share = self._share
        ids = (file.uuids[at : at + 16] for at in range(0, len(file.uuids), 16))
        wanted = {str(uuid.UUID(bytes=each)) for each in ids if each not in self._known}
        if not wanted:
            return
        known_issues = len(file.planned.issues)
        try:
            for record, event in events_of(
                file.planned, file.facts, wanted, file.totals, self._delegations, share.settings, share.now_ms
            ):
                wanted.discard(event.uuid)
                self._costs[event.uuid] = record.usage.cost_usd if isinstance(record, Generation) else 0.0
                yield event
        except OSError as error:
            self._notes.append(unreadable(file.facts.source, error))
            return
        if wanted:
            self._notes.append(changed(file.facts.source, len(wanted)))
        self._issues[file.place] = file.planned.issues[known_issues:]

    def _report_of(self, envelopes: Sequence[Envelope]) -> Report:
        return Report(
            self._desk.attempt,
            b"".join(uuid.UUID(each.uuid).bytes for each in envelopes),
            [each.size for each in envelopes],
            [self._costs.get(each.uuid, 0.0) for each in envelopes],
            list(astuple(self._counters)),
            self._unsaid,
        )

    def _report(self, envelopes: Sequence[Envelope]) -> None:
        self._desk.keep(self._report_of(envelopes))
        for each in envelopes:
            self._costs.pop(each.uuid, None)
        self._unsaid = []

    def _trimmed(self, envelope: Envelope, limit: int) -> None:
        from importer.deliver.notes import trimmed

        self._unsaid.append(Note(envelope.uuid, trimmed(envelope, limit), refused=False))

    def _refused(self, envelope: Envelope, reason: str) -> None:
        from importer.deliver.notes import refused

        self._unsaid.append(Note(envelope.uuid, refused(envelope, reason), refused=True))


@contextlib.contextmanager
def _told_when_cancelled() -> Iterator[threading.Event]:
    """A flag that is set when the client cancels the task or is gone: Dask itself does not end a thread."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()
    stop, over = threading.Event(), threading.Event()

    def look() -> None:
        while not over.wait(_LOOK_S):
            state = worker.state.tasks.get(key)
            if state is None or state.state in ("cancelled", "resumed"):
                stop.set()
                return

    threading.Thread(target=look, daemon=True, name="cancelled").start()
    try:
        yield stop
    finally:
        over.set()


_paces: dict[tuple[str, int], Pace] = {}
_paces_lock = threading.Lock()


def _pace(run: str, per_minute: int) -> Pace:
    """The pace that all tasks of a run share on this worker."""
    from importer.deliver.pace import Pace

    with _paces_lock:
        pace = _paces.get((run, per_minute))
        if pace is None:
            pace = _paces[run, per_minute] = Pace(per_minute)
            pace.reserve(pace.most)  # a worker that was started again is the same one for this minute
            while len(_paces) > _RUNS:
                del _paces[next(iter(_paces))]
        return pace


def _one_line(error: Exception) -> str:
    from importer.errors import Pi2PosthogError

    if isinstance(error, Pi2PosthogError):
        return str(error)
    return f"a worker could not go on ({type(error).__name__}): run the same command again to go on"
