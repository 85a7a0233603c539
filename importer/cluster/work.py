"""The tasks that workers of a Dask cluster run: count session files, or build events and send them.

The scheduler imports this module, too, so everything large is imported inside of the functions.
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
    Note,
    Parcel,
    Report,
    Share,
    ShareResult,
    WantedFile,
    decode_report,
)

if TYPE_CHECKING:
    from importer.build.event import Envelope
    from importer.deliver.retry import Pace
    from parsers.records import Issue

_LOOK_S = 0.2  # between two looks at whether the task was cancelled
_MAX_PACES = 16  # a worker keeps those of the latest runs


def count(parcel: Parcel) -> Parcel:
    """Count session files with `importer.plan.counter.count_files`: its arguments in, its result out."""
    from importer.plan.counter import count_files

    return Parcel(count_files(*parcel.open()))


def send(parcel: Parcel) -> Parcel:
    """Send the events of a share that no report says are delivered.

    An error is returned and not raised, because Dask writes to a log what a task raises.

    Args:
        parcel: holds a :class:`Share`.

    Returns:
        A parcel with a :class:`ShareResult`.
    """
    share: Share = parcel.open()
    store = _ReportStore(share)
    with _watch_cancellation() as stop:
        store.tell("began")
        try:
            return Parcel(_Attempt(share, store, stop).run())
        finally:
            store.tell("ended")


class _ReportStore:
    """The reports of a task, which the scheduler keeps."""

    def __init__(self, share: Share) -> None:
        from distributed import get_client, get_worker

        self._worker = get_worker()
        self._client = get_client()
        self._path = [ROOT, share.run, share.task]
        self.attempt = uuid.uuid4().hex
        self.reports: dict[str, bytes] = dict(self._client.get_metadata(self._path, {}))

    @property
    def threads(self) -> int:
        """Number of tasks that the worker runs at once."""
        return int(self._worker.state.nthreads)

    def tell(self, what: str, more: str = "") -> None:
        """Tell the client something; it may get lost."""
        with contextlib.suppress(Exception):
            self._worker.log_event(TOPIC, [*self._path[1:], what, more])

    def keep(self, report: Report) -> None:
        """Keep a report; the scheduler has it when this returns."""
        name, packed = f"{self.attempt}-{len(self.reports)}", msgspec.msgpack.encode(report)
        self.reports[name] = packed
        self._client.set_metadata([*self._path, name], packed)
        self.tell("report", name)


class _Attempt:
    """One attempt to send a share."""

    def __init__(self, share: Share, store: _ReportStore, stop: threading.Event) -> None:
        from importer.deliver.batching import Counters
        from importer.sessions.lineage import Delegations

        self._share = share
        self._store = store
        self._stop = stop
        self._delegations = Delegations()
        self._counters = Counters()
        self._pending_notes: list[Note] = []
        self._notes: list[str] = []
        self._issues: dict[int, list[Issue]] = {}
        self._delivered: set[bytes] = set()
        for packed in store.reports.values():
            ids = decode_report(packed).ids
            self._delivered.update(ids[at : at + 16] for at in range(0, len(ids), 16))

    def run(self) -> ShareResult:
        """Send what is left and return what to tell the client."""
        from importer.errors import DeliveryStoppedError

        error: str | None = None
        try:
            self._deliver()
        except DeliveryStoppedError:
            error = STOPPED
        except Exception as raised:
            error = _describe_error(raised)
        final = msgspec.msgpack.encode(self._make_report(()))  # counters and notes since the last batch
        return ShareResult([*self._store.reports.values(), final], self._notes, self._issues, error)

    def _deliver(self) -> None:
        from importer.deliver.delivery import Delivery
        from importer.deliver.retry import check_stop

        share, settings = self._share, self._share.settings
        with Delivery(
            host=settings.host,
            api_key=share.api_key,
            endpoint=settings.endpoint,
            parallel=max(1, settings.parallel // self._store.threads),
            max_event_bytes=settings.max_event_bytes,
            pace=_get_pace(share.run, share.per_minute, share.bytes_per_minute),
            on_delivered=self._report_delivered,
            on_retry=self._tell_retry,
            on_trimmed=self._note_trimmed,
            on_failed=self._note_refused,
            stop=self._stop,
        ) as delivery:
            self._counters = delivery.counters
            for envelope in self._build_events():
                check_stop(self._stop)
                delivery.add(envelope)
            delivery.flush()

    def _build_events(self) -> Iterator[Envelope]:
        from importer.build.person import make_identify_event

        if not self._share.files:
            identify = make_identify_event(self._share.settings, self._share.identified_ms)
            if identify and uuid.UUID(identify.uuid).bytes not in self._delivered:
                yield identify
        for wanted in self._share.files:
            yield from self._build_file(wanted)

    def _build_file(self, file: WantedFile) -> Iterator[Envelope]:
        from importer.deliver.building import build_events, note_changed, note_unreadable

        share = self._share
        ids = (file.uuids[at : at + 16] for at in range(0, len(file.uuids), 16))
        wanted = {str(uuid.UUID(bytes=each)) for each in ids if each not in self._delivered}
        if not wanted:
            return
        known_issues = len(file.planned.issues)
        try:
            for event in build_events(
                file.planned,
                file.facts,
                wanted,
                file.totals,
                self._delegations,
                share.settings,
                share.now_ms,
                has_content=file.has_content,
            ):
                wanted.discard(event.uuid)
                yield event
        except OSError as error:
            self._notes.append(note_unreadable(file.facts.source, error))
            return
        if wanted:
            self._notes.append(note_changed(file.facts.source, len(wanted)))
        self._issues[file.place] = file.planned.issues[known_issues:]

    def _make_report(self, envelopes: Sequence[Envelope]) -> Report:
        return Report(
            self._store.attempt,
            b"".join(uuid.UUID(each.uuid).bytes for each in envelopes),
            [each.size for each in envelopes],
            list(astuple(self._counters)),
            self._pending_notes,
        )

    def _report_delivered(self, envelopes: Sequence[Envelope]) -> None:
        self._store.keep(self._make_report(envelopes))
        self._pending_notes = []

    def _tell_retry(self, reason: str, wait_s: float) -> None:
        self._store.tell("retry", f"{reason}; next try in {wait_s:.1f} s")

    def _note_trimmed(self, envelope: Envelope, limit: int) -> None:
        from importer.deliver.building import note_trimmed

        self._pending_notes.append(Note(envelope.uuid, note_trimmed(envelope, limit), refused=False))

    def _note_refused(self, envelope: Envelope, reason: str) -> None:
        from importer.deliver.building import note_refused

        self._pending_notes.append(Note(envelope.uuid, note_refused(envelope, reason), refused=True))


@contextlib.contextmanager
def _watch_cancellation() -> Iterator[threading.Event]:
    """Give a flag that is set when the client cancels the task or is gone; Dask itself ends no thread."""
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


_paces: dict[tuple[str, int | None, int | None], Pace | None] = {}
_paces_lock = threading.Lock()


def _get_pace(run: str, per_minute: int | None, bytes_per_minute: int | None = None) -> Pace | None:
    """Return the pace that all tasks of a run share on this worker; None without a limit."""
    from importer.deliver.retry import make_pace

    key = run, per_minute, bytes_per_minute
    with _paces_lock:
        if key not in _paces:
            pace = _paces[key] = make_pace(per_minute, bytes_per_minute)
            if pace:
                pace.use_up()  # start empty: a restarted worker must not get a second allowance
            while len(_paces) > _MAX_PACES:
                del _paces[next(iter(_paces))]
        return _paces[key]


def _describe_error(error: Exception) -> str:
    """Describe an error in one line; an unexpected one by its type, as its text may hold a prompt."""
    from importer.errors import Pi2PosthogError

    if isinstance(error, Pi2PosthogError):
        return str(error)
    return f"a worker could not go on ({type(error).__name__}): run the same command again to go on"
