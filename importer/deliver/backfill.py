"""Delivers a plan: what is not in the ledger yet, file by file, each event once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from importer.build.event import Envelope
from importer.build.events import make_identify_event
from importer.deliver import notes
from importer.deliver.batching import Counters
from importer.deliver.builder_process import builder_for
from importer.deliver.building import Builder, FileToBuild
from importer.deliver.output import Output, output_of
from importer.errors import DeliveryError
from importer.ledger.ledger import Ledger
from importer.plan.plan import Plan
from importer.plan.progress import Progress
from importer.settings import Settings
from importer.totals import totals


class DeliveredCost:
    """What the events cost that a backfill has delivered.

    Args:
        plan: what is delivered; what it knows as delivered now does not count.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._before = plan.delivered.copy()
        self._known = (0, 0.0)  # events and dollars, as of the last time

    @property
    def usd(self) -> float:
        """US dollars."""
        new = self._plan.delivered & ~self._before
        count = int(new.sum())
        if count != self._known[0]:
            self._known = count, totals(self._plan.frame[["cost_usd"]][new])["cost_usd"].item()
        return self._known[1]


@dataclass(slots=True)
class Outcome(Progress):
    """How far a backfill is, and in the end what it did.

    Attributes:
        already_delivered: events of the plan that were delivered before.
        delivered_cost: adds up what the delivered generations cost.
        notes: one line for each event that was cut or refused.
        counters: what the delivery did, in numbers.
    """

    already_delivered: int = 0
    notes: list[str] = field(default_factory=list)
    counters: Counters = field(default_factory=Counters)
    delivered_cost: DeliveredCost | None = None

    @property
    def cost_usd(self) -> float:
        """What the delivered generations cost, in US dollars; adds it up when it is asked for."""
        return self.delivered_cost.usd if self.delivered_cost else 0.0

    @property
    def retries(self) -> int:
        """Requests that had to be made again."""
        return self.counters.retries


class Backfill:
    """Delivers what a plan holds and is not delivered; the plan knows afterwards what is.

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
            delivered_cost=DeliveredCost(plan),
        )

    def watch(self, on_progress: Callable[[Progress], None]) -> None:
        """Have a function called now, and whenever the outcome has changed."""
        self._on_progress = on_progress
        self._report()

    def _report(self) -> None:
        self._on_progress(self.outcome)

    def send(self, api_key: str, ledger: Ledger) -> None:
        """Send the events to PostHog; the ledger knows of each batch before the next one is built.

        Raises:
            DeliveryError: PostHog did not take the events; the outcome says what is left.
            LedgerError: the ledger could not be written; nothing was sent after that.
        """
        with self._builder() as builder:
            self._send(api_key, ledger, builder)

    def _send(self, api_key: str, ledger: Ledger, builder: Builder) -> None:
        from importer.deliver.delivery import Delivery  # imported while the first events are built
        from importer.deliver.retry import Pace

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
                for envelope in self._envelopes(builder):
                    delivery.add(envelope)
                delivery.flush()
            except DeliveryError as error:
                ledger.note_error(destination, str(error), round(time.time() * 1000))
                raise

    def write(self, output: Output | Path) -> None:
        """Write the events as JSON lines to a file or a folder of parts (see :mod:`importer.deliver.output`).

        Raises:
            Pi2PosthogError: they cannot be written; nothing of them appears.
        """
        if isinstance(output, Path):
            output = output_of(output)
        before = self._plan.delivered.copy()
        try:
            with self._builder() as builder, output.opened() as write:
                for envelope in self._envelopes(builder):
                    write(envelope)
                    self._count([envelope])
        except BaseException:
            self._plan.delivered[:] = before
            self.outcome.delivered = self.outcome.bytes = 0
            raise

    def _builder(self) -> Builder:
        size = sum(planned.file.size for planned in self._plan.files) if self.outcome.planned else 0
        return builder_for(self._settings, self._plan.now_ms, size)

    def _envelopes(self, builder: Builder) -> Iterator[Envelope]:
        """The events to deliver, read again from their files."""
        files = self._plan.find_wanted()
        first = next(files, None)
        if first and first[0] < 0:
            identify = make_identify_event(self._settings)
            if identify:
                self._under_way.update(first[1])
                yield identify
            first = next(files, None)
        if first is None:
            return
        for file in builder.each(map(self._to_build, chain([first], files))):
            yield from self._events_of(file, builder)
            self.outcome.files += 1
            self.outcome.bytes_read += file.planned.file.size
            self._report()

    def _to_build(self, wanted: tuple[int, dict[str, int]]) -> FileToBuild:
        index, places = wanted
        return FileToBuild(self._plan.files[index], places, self._plan.totals_of_file(index))

    def _events_of(self, file: FileToBuild, builder: Builder) -> Iterator[Envelope]:
        source = str(file.planned.file.path)
        try:
            for event in builder.events(file):
                self._under_way[event.uuid] = file.wanted.pop(event.uuid)
                yield event
        except OSError as error:
            self.outcome.notes.append(notes.unreadable(source, error))
            return
        if file.wanted:
            self.outcome.notes.append(notes.changed(source, len(file.wanted)))

    def _count(self, envelopes: Sequence[Envelope]) -> None:
        for envelope in envelopes:
            place = self._under_way.pop(envelope.uuid, None)
            if place is None:
                continue  # told again after an interrupt
            self._plan.delivered[place] = True
            self.outcome.delivered += 1
            self.outcome.bytes += envelope.size
        self.outcome.error = ""
        self._report()

    def _retrying(self, reason: str, wait_s: float) -> None:
        self.outcome.error, self.outcome.retry_at = reason, time.monotonic() + wait_s
        self._report()

    def _trimmed(self, envelope: Envelope, limit: int) -> None:
        self.outcome.notes.append(notes.trimmed(envelope, limit))

    def _refused(self, envelope: Envelope, reason: str) -> None:
        self.outcome.failed += 1
        self.outcome.notes.append(notes.refused(envelope, reason))
