"""Delivers a plan: what is not delivered yet, file by file, each event once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from importer.build.event import Envelope, Event
from importer.build.person import make_identify_event
from importer.build.trimming import EVENT_LIMIT
from importer.deliver.batching import Counters
from importer.deliver.builder_process import make_builder
from importer.deliver.building import (
    Builder,
    FileToBuild,
    note_changed,
    note_refused,
    note_trimmed,
    note_unreadable,
)
from importer.deliver.output import Output
from importer.deliver.remote_output import output_of
from importer.errors import DeliveryError
from importer.ledger.attempts import UnderWay, date_identify
from importer.ledger.ledger import Ledger
from importer.plan.plan import Plan
from importer.plan.progress import Progress
from importer.settings import Settings
from importer.totals import totals


class DeliveredCost:
    """What the events cost that a backfill has delivered.

    Args:
        plan: the plan. What it knows as delivered by now does not count.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._before = plan.delivered.copy()
        self._count = 0  # events, as of the last time
        self._known = (0.0, 0)  # their dollars, and how many of them have no known cost

    @property
    def usd(self) -> float:
        """US dollars, as far as they are known."""
        return self._sum()[0]

    @property
    def unpriced(self) -> int:
        """How many calls have no known cost."""
        return self._sum()[1]

    def _sum(self) -> tuple[float, int]:
        new = self._plan.delivered & ~self._before
        count = int(new.sum())
        if count != self._count:
            sums = totals(self._plan.frame[["cost_usd", "cost_basis"]][new])
            self._count, self._known = count, (sums["cost_usd"].item(), sums["unpriced_calls"].item())
        return self._known


@dataclass(slots=True)
class Outcome(Progress):
    """How far a backfill is, and in the end what it did.

    Attributes:
        already_delivered: events of the plan that were delivered before.
        planned_numbers_only, numbers_only: how many of the planned and of the delivered events go without
            content, because they are too old for it.
        delivered_cost: adds up what the delivered generations cost.
        notes: one line for each event that was cut or refused.
        counters: what the delivery did, in numbers.
    """

    already_delivered: int = 0
    planned_numbers_only: int = 0
    numbers_only: int = 0
    notes: list[str] = field(default_factory=list)
    counters: Counters = field(default_factory=Counters)
    delivered_cost: DeliveredCost | None = None

    @property
    def cost_usd(self) -> float:
        """What the delivered generations cost, in US dollars, added up when it is asked for."""
        return self.delivered_cost.usd if self.delivered_cost else 0.0

    @property
    def unpriced(self) -> int:
        """How many of the delivered generations have no known cost, which is not in the sum."""
        return self.delivered_cost.unpriced if self.delivered_cost else 0

    @property
    def retries(self) -> int:
        """Requests that had to be made again."""
        return self.counters.retries


class Backfill:
    """Delivers what a plan holds and is not delivered. Afterwards, the plan knows what is.

    ::

        work = Backfill(plan, settings)
        with Ledger.open(path) as ledger:
            work.send(api_key, ledger)
        print(work.outcome.delivered, work.outcome.left)

    Args:
        plan: what to deliver, with the totals of its traces.
        settings: as in the plan.

    Attributes:
        outcome: how far it is.
    """

    def __init__(self, plan: Plan, settings: Settings) -> None:
        self._plan = plan
        self._settings = settings
        self._on_progress: Callable[[Progress], None] = lambda progress: None
        self._under_way: dict[str, int] = {}  # places in the plan, by uuid
        waiting = plan.count_waiting()
        self.outcome = Outcome(
            planned=waiting.events,
            planned_bytes=waiting.bytes_of[settings.input_context],
            all_files=waiting.files,
            already_delivered=len(plan) - waiting.events,
            planned_numbers_only=waiting.numbers_only,
            delivered_cost=DeliveredCost(plan),
        )

    def watch(self, on_progress: Callable[[Progress], None]) -> None:
        """Have a function called now, and whenever the outcome has changed."""
        self._on_progress = on_progress
        self._report()

    def _report(self) -> None:
        self._on_progress(self.outcome)

    def send(self, api_key: str, ledger: Ledger) -> None:
        """Send the events to PostHog. The ledger knows of each batch before the next one is built.

        Raises:
            DeliveryError: PostHog did not take the events. The outcome says what is left.
            LedgerError: the ledger could not be written. Nothing was sent after that.
        """
        with self._make_builder() as builder:
            self._send(api_key, ledger, builder)

    def _send(self, api_key: str, ledger: Ledger, builder: Builder) -> None:
        from importer.deliver.delivery import Delivery  # imported while the first events are built
        from importer.deliver.retry import make_pace

        settings = self._settings
        destination = ledger.destination_id(settings.host, api_key)
        under_way = UnderWay(ledger, destination)
        under_way.forget_delivered()

        def date_person(uuid: str) -> int:
            return date_identify(ledger, destination, uuid, self._plan.now_ms)

        def note_delivered(envelopes: Sequence[Envelope]) -> None:
            ledger.record(destination, [e.uuid for e in envelopes], round(time.time() * 1000))
            self._count(envelopes)

        with Delivery(
            host=settings.host,
            api_key=api_key,
            endpoint=settings.endpoint,
            max_event_bytes=settings.max_event_bytes,
            parallel=settings.parallel,
            pace=make_pace(settings.max_events_per_minute, settings.max_bytes_per_minute),
            on_request=lambda envelopes: under_way.begin(e.uuid for e in envelopes),
            on_delivered=note_delivered,
            on_retry=self._note_retry,
            on_trimmed=self._note_trimmed,
            on_failed=self._note_refused,
        ) as delivery:
            self.outcome.counters = delivery.counters
            try:
                for envelope in self._build_events(builder, date_person):
                    delivery.add(envelope)
                delivery.flush()
            except DeliveryError as error:
                ledger.note_error(destination, str(error), round(time.time() * 1000))
                raise

    def write(self, output: Output | Path) -> None:
        """Write the events as JSON lines to a file or a folder of parts (see :mod:`importer.deliver.output`).

        Raises:
            Pi2PosthogError: they cannot be written. Nothing of them appears.
        """
        if isinstance(output, Path):
            output = output_of(output)
        before = self._plan.delivered.copy()
        try:
            with self._make_builder() as builder, output.opened() as write:
                limit = min(self._settings.max_event_bytes or EVENT_LIMIT, EVENT_LIMIT)
                for envelope in self._build_events(builder):
                    written: Envelope = envelope
                    if envelope.size > limit:
                        written = _cut(envelope, limit)
                        self._note_trimmed(envelope, limit)
                        self.outcome.counters.shortened += 1
                    write(written)
                    self._count([written])
        except BaseException:
            self._plan.delivered[:] = before
            self.outcome.delivered = self.outcome.bytes = self.outcome.numbers_only = 0
            self.outcome.counters = Counters()
            raise

    def _make_builder(self) -> Builder:
        size = sum(planned.file.size for planned in self._plan.files) if self.outcome.planned else 0
        return make_builder(self._settings, self._plan.now_ms, size)

    def _build_events(
        self, builder: Builder, date_person: Callable[[str], int] | None = None
    ) -> Iterator[Envelope]:
        """Yield the events to deliver, read again from their files.

        Args:
            builder: builds them.
            date_person: gives the time of the ``$identify`` with some uuid, in ms since the epoch; by default
                the moment of the import.
        """
        files = self._plan.find_wanted()
        first = next(files, None)
        if first and first[0] < 0:
            (uuid,) = first[1]
            identified_ms = date_person(uuid) if date_person else self._plan.now_ms
            if identify := make_identify_event(self._settings, identified_ms):
                self._under_way.update(first[1])
                yield identify
            first = next(files, None)
        if first is None:
            return
        for file in builder.each(map(self._describe_file, chain([first], files))):
            yield from self._build_file(file, builder)
            self.outcome.files += 1
            self.outcome.bytes_read += file.planned.file.size
            self._report()

    def _describe_file(self, wanted: tuple[int, dict[str, int]]) -> FileToBuild:
        index, places = wanted
        has_content = self._plan.has_content(places.values())
        return FileToBuild(self._plan.files[index], places, self._plan.find_totals(index), has_content)

    def _build_file(self, file: FileToBuild, builder: Builder) -> Iterator[Envelope]:
        source = str(file.planned.file.path)
        try:
            for event in builder.events(file):
                self._under_way[event.uuid] = file.wanted.pop(event.uuid)
                yield event
        except OSError as error:
            self.outcome.notes.append(note_unreadable(source, error))
            return
        if file.wanted:
            self.outcome.notes.append(note_changed(source, len(file.wanted)))

    def _count(self, envelopes: Sequence[Envelope]) -> None:
        for envelope in envelopes:
            place = self._under_way.pop(envelope.uuid, None)
            if place is None:
                continue  # reported twice, after Ctrl-C
            self._plan.delivered[place] = True
            self.outcome.delivered += 1
            self.outcome.numbers_only += bool(self._plan.numbers_only[place])
            self.outcome.bytes += envelope.size
        self.outcome.error = ""
        self._report()

    def _note_retry(self, reason: str, wait_s: float) -> None:
        self.outcome.error, self.outcome.retry_at = reason, time.monotonic() + wait_s
        self._report()

    def _note_trimmed(self, envelope: Envelope, limit: int) -> None:
        self.outcome.notes.append(note_trimmed(envelope, limit))

    def _note_refused(self, envelope: Envelope, reason: str) -> None:
        self.outcome.failed += 1
        self.outcome.notes.append(note_refused(envelope, reason))


def _cut(envelope: Envelope, limit: int) -> Event:
    """Return an event cut to that many bytes, as it is written to a file."""
    data = envelope.trimmed(limit)
    return Event(envelope.event, envelope.uuid, envelope.end_ms, envelope.source, data)
