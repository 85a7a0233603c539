"""Delivers a plan: what is not in the ledger yet, file by file, each event once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from importer import notes
from importer.building import events_of
from importer.counters import Counters
from importer.envelope import Envelope
from importer.errors import DeliveryError
from importer.events import identify_event
from importer.facts import facts_of
from importer.ledger import Ledger
from importer.lineage import Delegations
from importer.output import Output, output_of
from importer.plan import Plan, PlannedFile
from importer.settings import Settings
from parsers.records import Generation

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
        self._watch: Watch = lambda outcome: None
        self._under_way: dict[str, tuple[int, float]] = {}  # place in the plan, and cost, by uuid
        self._delegations = Delegations()
        waiting = plan.waiting()
        self.outcome = Outcome(
            planned=waiting.events,
            planned_bytes=waiting.bytes_of[settings.input_context],
            planned_files=waiting.files,
            already_delivered=len(plan) - waiting.events,
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
        before = self._plan.delivered.copy()
        try:
            with output.opened() as write:
                for envelope in self._envelopes():
                    write(envelope)
                    self._count([envelope])
        except BaseException:
            self._plan.delivered[:] = before
            self.outcome.delivered = self.outcome.bytes = 0
            self.outcome.cost_usd = 0.0
            raise

    def _envelopes(self) -> Iterator[Envelope]:
        """The events to deliver, read again from their files."""
        for index, wanted in self._plan.wanted():
            if index < 0:
                identify = identify_event(self._settings)
                if identify:
                    self._under_way.update((uuid, (place, 0.0)) for uuid, place in wanted.items())
                    yield identify
                continue
            planned = self._plan.files[index]
            yield from self._events_of(index, planned, wanted)
            self.outcome.files += 1
            self.outcome.bytes_read += planned.file.size
            self._watch(self.outcome)

    def _events_of(self, index: int, planned: PlannedFile, wanted: dict[str, int]) -> Iterator[Envelope]:
        totals = self._plan.totals.of_file(index)
        facts = facts_of(planned.file, self._settings)
        try:
            for record, event in events_of(
                planned, facts, wanted.keys(), totals, self._delegations, self._settings, self._plan.now_ms
            ):
                cost_usd = record.usage.cost_usd if isinstance(record, Generation) else 0.0
                self._under_way[event.uuid] = wanted.pop(event.uuid), cost_usd
                yield event
        except OSError as error:
            self.outcome.notes.append(notes.unreadable(facts.source, error))
            return
        if wanted:
            self.outcome.notes.append(notes.changed(facts.source, len(wanted)))

    def _count(self, envelopes: Sequence[Envelope]) -> None:
        for envelope in envelopes:
            known = self._under_way.pop(envelope.uuid, None)
            if known is None:
                continue  # told again after an interrupt
            place, cost_usd = known
            self._plan.delivered[place] = True
            self.outcome.delivered += 1
            self.outcome.bytes += envelope.size
            self.outcome.cost_usd += cost_usd
        self.outcome.retry = ""
        self._watch(self.outcome)

    def _retrying(self, reason: str, wait_s: float) -> None:
        self.outcome.retry = f"{reason}; next try in {wait_s:.1f} s"
        self._watch(self.outcome)

    def _trimmed(self, envelope: Envelope, limit: int) -> None:
        self.outcome.notes.append(notes.trimmed(envelope, limit))

    def _refused(self, envelope: Envelope, reason: str) -> None:
        self.outcome.failed += 1
        self.outcome.notes.append(notes.refused(envelope, reason))
