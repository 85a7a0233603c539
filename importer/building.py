"""The events of one planned session, read again from its file and built one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet

from importer.event import Event
from importer.events import EventBuilder
from importer.facts import SessionFacts
from importer.lineage import Delegations
from importer.plan import PlannedFile
from importer.reading import new_session, records_of
from importer.settings import Settings
from importer.totals import TraceTotals
from parsers.records import AnyRecord


def events_of(
    planned: PlannedFile,
    facts: SessionFacts,
    wanted: AbstractSet[str],
    totals: Mapping[str, TraceTotals],
    delegations: Delegations,
    settings: Settings,
    now_ms: int,
) -> Iterator[tuple[AnyRecord, Event]]:
    """The wanted events of a session, and what they are about.

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
                starter = delegations.started_by(file.path, file.parent_session, file.agent, session, record)
                yield record, builder.build(record, totals.get(record.id), starter)
    delegations.note(file, session)
    known = {issue.what for issue in planned.issues}
    planned.issues += (issue for issue in session.issues.values() if issue.what not in known)
