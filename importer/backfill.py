"""Delivers a plan: what is not in the ledger yet, file by file, each event once."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

from importer.counters import Counters
from importer.envelope import Envelope
from importer.errors import DeliveryError
from importer.events import EventBuilder, identify_event
from importer.ledger import Ledger
from importer.output import Output, output_of
from importer.plan import Plan, PlannedFile, read_records
from importer.settings import Settings

Watch = Callable[["Outcome"], None]


@dataclass(slots=True)
class Outcome:
    """How far a backfill is, and in the end what it did.

    Attributes:
        planned: events to deliver; ``left`` of them were not, because the backfill stopped or a file changed.
        planned_bytes, bytes: bytes of their JSON, to deliver and delivered.
        files, bytes_read: session files done, and their bytes.
        cost_usd: cost of the generations delivered.
        notes: one line for each event that was cut or refused.
    """

    planned: int = 0
    planned_bytes: int = 0
    planned_files: int = 0
    already_delivered: int = 0
    files: int = 0
    bytes_read: int = 0
    bytes: int = 0
    delivered: int = 0
    failed: int = 0
    cost_usd: float = 0.0
    retry: str = ""
    notes: list[str] = field(default_factory=list)
    counters: Counters = field(default_factory=Counters)

    @property
    def left(self) -> int:
        """Events that neither were delivered nor refused."""
        return self.planned - self.delivered - self.failed


class Backfill:
    """Delivers what a plan holds and a ledger does not.

    Args:
        plan: what to deliver.
        settings: as in the plan.
        delivered: the uuids that are delivered already.

    Attributes:
        outcome: how far it is.
        done: the uuids that are delivered.
    """

    def __init__(self, plan: Plan, settings: Settings, delivered: AbstractSet[str]) -> None:
        self._plan = plan
        self._settings = settings
        self._watch: Watch = lambda outcome: None
        self.done = set(delivered)
        self._todo = {event.uuid: event for event in plan.events if event.uuid not in delivered}
        self._costs = dict(zip(plan.generations["id"], plan.generations["cost_usd"], strict=True))
        context = settings.input_context
        self.outcome = Outcome(
            planned=len(self._todo),
            planned_bytes=sum(getattr(event, context) for event in self._todo.values()),
            planned_files=len({event.file for event in self._todo.values()} - {-1}),
            already_delivered=len(plan.events) - len(self._todo),
        )

    def watch(self, watch: Watch) -> None:
        """Have a function called whenever something has changed in the outcome."""
        self._watch = watch
        watch(self.outcome)

    def send(self, api_key: str, ledger: Ledger) -> None:
        """Send the events to PostHog; the ledger knows of each batch before the next one is built.

        Raises:
            DeliveryError: PostHog did not take the events; the outcome says what is left.
            LedgerError: the ledger could not be written; nothing was sent after that.
        """
        from importer.delivery import Delivery  # brings an HTTP library, which a preview has no use for
        from importer.pace import Pace

        destination = ledger.destination_id(self._settings.host, api_key)
        per_minute = self._settings.max_events_per_minute

        def delivered(envelopes: Sequence[Envelope]) -> None:
            ledger.record(destination, [e.uuid for e in envelopes], round(time.time() * 1000))
            self._count(envelopes)

        with Delivery(
            host=self._settings.host,
            api_key=api_key,
            endpoint=self._settings.endpoint,
            parallel=self._settings.parallel,
            pace=Pace(per_minute) if per_minute else None,
            on_delivered=delivered,
            on_retry=self._retrying,
            on_trimmed=self._trimmed,
            on_failed=self._refused,
        ) as delivery:
            self.outcome.counters = delivery.counters
            try:
                for envelope in self._envelopes():
                    delivery.add(envelope)
                delivery.flush()
            except DeliveryError as error:
                ledger.note_error(destination, str(error), round(time.time() * 1000))
                raise

    def write(self, output: Output | Path) -> None:
        """Write the events as JSON lines to a file or a folder of parts (see :mod:`importer.output`).

        Raises:
            PiPosthogError: they cannot be written; nothing of them appears.
        """
        if isinstance(output, Path):
            output = output_of(output)
        try:
            with output.opened() as write:
                for envelope in self._envelopes():
                    write(envelope)
                    self._count([envelope])
        except BaseException:
            self.done.clear()
            self.outcome.delivered = self.outcome.bytes = 0
            self.outcome.cost_usd = 0.0
            raise

    def _envelopes(self) -> Iterator[Envelope]:
        """The events to deliver, read again from their files."""
        files: dict[int, set[str]] = defaultdict(set)
        for event in self._todo.values():
            files[event.file].add(event.uuid)
        for index in sorted(files):
            if index < 0:
                identify = identify_event(self._settings)
                if identify:
                    yield identify
                continue
            planned = self._plan.files[index]
            yield from self._events_of(index, planned, files[index])
            self.outcome.files += 1
            self.outcome.bytes_read += planned.file.size
            self._watch(self.outcome)

    def _events_of(self, index: int, planned: PlannedFile, uuids: set[str]) -> Iterator[Envelope]:
        try:
            session, records = read_records(planned.file, self._settings, self._plan.now_ms)
        except OSError as error:
            self.outcome.notes.append(
                f"{planned.file.path}: {error.strerror}; its events are left for the next time"
            )
            return
        builder = EventBuilder(self._settings, planned.facts)
        for record in records:
            if record.id in uuids:
                uuids.discard(record.id)
                totals = self._plan.totals.get((index, record.trace_id))
                file = planned.file
                starter = self._plan.delegations.started_by(
                    file.path, file.parent_session, file.agent, session, record
                )
                yield builder.build(record, totals, starter)
        if uuids:
            count = f"{len(uuids)} events are" if len(uuids) > 1 else "1 event is"
            self.outcome.notes.append(
                f"{planned.file.path}: changed while it was read; {count} left for the next time"
            )

    def _count(self, envelopes: Sequence[Envelope]) -> None:
        for envelope in envelopes:
            if envelope.uuid in self.done:
                continue  # told again after an interrupt
            self.done.add(envelope.uuid)
            self.outcome.delivered += 1
            self.outcome.bytes += getattr(self._todo[envelope.uuid], self._settings.input_context)
            self.outcome.cost_usd += self._costs.get(envelope.uuid, 0.0)
        self.outcome.retry = ""
        self._watch(self.outcome)

    def _retrying(self, reason: str, wait_s: float) -> None:
        self.outcome.retry = f"{reason}; next try in {wait_s:.1f} s"
        self._watch(self.outcome)

    def _trimmed(self, envelope: Envelope, limit: int) -> None:
        self.outcome.notes.append(
            f"{envelope.source}: {envelope.event} {envelope.uuid} was cut to {limit} bytes"
        )

    def _refused(self, envelope: Envelope, reason: str) -> None:
        self.outcome.failed += 1
        self.outcome.notes.append(
            f"{envelope.source}: {envelope.event} {envelope.uuid} not delivered: {reason}"
        )
