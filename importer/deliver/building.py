"""Builds the events of planned sessions, read again from their files, and says what could not be sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from types import TracebackType
from typing import NamedTuple, Self

from importer.build.event import Envelope, Event
from importer.build.events import EventBuilder
from importer.build.facts import SessionFacts, find_facts
from importer.plan.plan import PlannedFile
from importer.sessions.lineage import Delegations
from importer.sessions.reading import new_session, records_of
from importer.settings import Settings
from importer.totals import TraceTotals


def build_events(
    planned: PlannedFile,
    facts: SessionFacts,
    wanted: AbstractSet[str],
    totals: Mapping[str, TraceTotals],
    delegations: Delegations,
    settings: Settings,
    now_ms: int,
    *,
    has_content: bool = True,
) -> Iterator[Event]:
    """Yield the wanted events of a session, in the order of its lines.

    Args:
        planned: the session. What is found wrong with it only now is added to its issues.
        facts: what its events share.
        wanted: the uuids of the events.
        totals: the totals of its traces.
        delegations: the tool calls that may have started subagents.
        settings: as in the plan.
        now_ms: the moment of the import, in ms since the epoch.
        has_content: whether any of the events is young enough to go with content; else none is kept.

    Raises:
        OSError: the file cannot be read.
    """
    file = planned.file
    session = new_session(settings, file.agent, has_content=has_content)
    builder = EventBuilder(settings, facts, settings.content_since_ms(now_ms))
    for records in records_of(file, session, now_ms):
        for record in records:
            if record.id in wanted:
                starter = delegations.find_starter(
                    file.path, file.parent_session, file.agent, session, record
                )
                yield builder.build(record, totals.get(record.id), starter)
    delegations.note(file, session)
    known = {issue.what for issue in planned.issues}
    planned.issues += (issue for issue in session.issues.values() if issue.what not in known)


class FileToBuild(NamedTuple):
    """A session whose events are wanted.

    Attributes:
        planned: the session.
        wanted: the places of these events in the plan, by uuid. Take out those that you have got.
        totals: the totals of its traces.
        has_content: whether any of the events goes with content.
    """

    planned: PlannedFile
    wanted: dict[str, int]
    totals: Mapping[str, TraceTotals]
    has_content: bool = True


class Builder:
    """Builds the events of sessions, one after the other. Use it as a context manager.

    ::

        with make_builder(settings, now_ms, size) as builder:
            for file in builder.each(files):
                for event in builder.events(file):
                    ...

    Args:
        settings: as in the plan.
        now_ms: the moment of the import, in ms since the epoch.
    """

    def __init__(self, settings: Settings, now_ms: int) -> None:
        self._settings = settings
        self._now_ms = now_ms
        self._delegations = Delegations()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: there is nothing to close."""

    def each(self, files: Iterable[FileToBuild]) -> Iterator[FileToBuild]:
        """Yield the files in their order. Take all events of one before the next one."""
        yield from files

    def events(self, file: FileToBuild) -> Iterator[Event]:
        """Return the wanted events of a file.

        Raises:
            OSError: the file cannot be read.
        """
        return build_events(
            file.planned,
            find_facts(file.planned.file, self._settings),
            file.wanted.keys(),
            file.totals,
            self._delegations,
            self._settings,
            self._now_ms,
            has_content=file.has_content,
        )


def note_trimmed(envelope: Envelope, limit: int) -> str:
    """Return a line that says that an event was cut to so many bytes."""
    return f"{envelope.source}: {envelope.event} {envelope.uuid} was cut to {limit} bytes"


def note_refused(envelope: Envelope, reason: str) -> str:
    """Return a line that says that an event was refused for good."""
    return f"{envelope.source}: {envelope.event} {envelope.uuid} not delivered: {reason}"


def note_unreadable(source: str, error: OSError) -> str:
    """Return a line that says that a session file could not be read."""
    return f"{source}: {error.strerror}; its events are left for the next time"


def note_changed(source: str, events: int) -> str:
    """Return a line that says that a session file does not hold so many events any more."""
    count = f"{events} events are" if events > 1 else "1 event is"
    return f"{source}: changed while it was read; {count} left for the next time"
