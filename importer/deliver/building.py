"""The events of planned sessions, read again from their files and built one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from types import TracebackType
from typing import NamedTuple, Self

from importer.build.event import Event
from importer.build.events import EventBuilder
from importer.build.facts import SessionFacts, find_facts
from importer.plan.plan import PlannedFile
from importer.sessions.lineage import Delegations
from importer.sessions.reading import new_session, records_of
from importer.settings import Settings
from importer.totals import TraceTotals


def events_of(
    planned: PlannedFile,
    facts: SessionFacts,
    wanted: AbstractSet[str],
    totals: Mapping[str, TraceTotals],
    delegations: Delegations,
    settings: Settings,
    now_ms: int,
) -> Iterator[Event]:
    """Build the wanted events of a session.

    Args:
        planned: the session; what is found to be wrong with it now is added to its issues.
        facts: what its events share.
        wanted: the uuids of the events.
        totals: the totals of its traces.
        delegations: the tool calls that may have started subagents.
        settings: as in the plan.
        now_ms: the moment of the import.

    Raises:
        OSError: the file cannot be read.
    """
    file = planned.file
    session = new_session(settings, file.agent)
    builder = EventBuilder(settings, facts)
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
        wanted: the places of these events in the plan, by uuid; who takes an event takes it out.
        totals: the totals of its traces.
    """

    planned: PlannedFile
    wanted: dict[str, int]
    totals: Mapping[str, TraceTotals]


class Builder:
    """Builds the events of sessions, one after the other; use it as a context manager.

    Args:
        settings: as in the plan.
        now_ms: the moment of the import.
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
        """Nothing has to be let go of."""

    def each(self, files: Iterable[FileToBuild]) -> Iterator[FileToBuild]:
        """The files in their order; take all events of one before the next one."""
        yield from files

    def events(self, file: FileToBuild) -> Iterator[Event]:
        """The wanted events of a file.

        Raises:
            OSError: the file cannot be read.
        """
        return events_of(
            file.planned,
            find_facts(file.planned.file, self._settings),
            file.wanted.keys(),
            file.totals,
            self._delegations,
            self._settings,
            self._now_ms,
        )
