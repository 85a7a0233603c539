"""The plan of an import: every session read once, everything that would be sent counted and measured.

Preview shows the plan; backfill delivers it. Copies that forks hold are counted once, parents first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from importer.discovery import Discovery, SessionFile, Skipped, parents_first
from importer.event import CONTEXTS
from importer.events import EventBuilder, identify_event
from importer.facts import SessionFacts, facts_of, project_of
from importer.lineage import Delegations
from importer.settings import Settings
from importer.totals import (
    GenerationRow,
    TraceTotals,
    generation_frame,
    generation_row,
    model_of,
    trace_totals,
)
from parsers.agents import PI, Agent, SessionParser
from parsers.records import AnyRecord, Generation, Span, Trace
from parsers.session import Issue

if TYPE_CHECKING:
    import pandas as pd

_BATCH_BYTES = 32 * 1024 * 1024
_BATCH_FILES = 500
_KINDS = {Generation: "generation", Span: "span", Trace: "trace"}


class EventRow(NamedTuple):
    """One event that would be sent: its file's place in the plan, and its size in bytes by input context."""

    file: int
    uuid: str
    kind: str
    model: str
    end_ms: int
    full: int
    turn: int
    new: int


@dataclass(slots=True)
class PlannedFile:
    """One session of the plan.

    Attributes:
        file: the file, as it was when it was read: later lines are for a later import.
        subagent: the name of the subagent whose session it is.
        issues: what was wrong with it.
    """

    file: SessionFile
    facts: SessionFacts
    name: str | None = None
    first_prompt: str | None = None
    subagent: str | None = None
    issues: list[Issue] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Selection:
    """What the user asked for: a period (ms; the end is exclusive) and a project (may hold ``*``)."""

    since_ms: int | None = None
    until_ms: int | None = None
    project: str | None = None

    @property
    def is_period(self) -> bool:
        """Whether a period was asked for."""
        return self.since_ms is not None or self.until_ms is not None

    def takes(self, end_ms: int) -> bool:
        """Whether what ended then is asked for."""
        return (self.since_ms is None or end_ms >= self.since_ms) and (
            self.until_ms is None or end_ms < self.until_ms
        )


EVERYTHING = Selection()


@dataclass
class Plan:
    """What an import would send.

    Attributes:
        files: the sessions, parents before their forks.
        skipped: the files that were left out.
        generations: the frame of generations, one row each, without the copies in forks.
        events: one row for each event that would be sent.
        totals: the totals of the traces, by file and trace id.
        delegations: the tool calls that may have started the subagents among the sessions.
        now_ms: the moment of the import: what had ended by then is in it.
    """

    files: list[PlannedFile]
    skipped: list[Skipped]
    generations: pd.DataFrame
    events: list[EventRow]
    totals: dict[tuple[int, str], TraceTotals]
    delegations: Delegations
    now_ms: int

    @property
    def bytes_read(self) -> int:
        """Bytes of all session files."""
        return sum(planned.file.size for planned in self.files)


class Progress(NamedTuple):
    """How far the reading is: files and bytes, done and in all."""

    files: int
    all_files: int
    bytes: int
    all_bytes: int


def make_plan(
    found: Discovery,
    settings: Settings,
    selection: Selection = EVERYTHING,
    *,
    now_ms: int,
    on_progress: Callable[[Progress], None] | None = None,
) -> Plan:
    """Read the sessions that were found.

    Args:
        found: the session files, in any order.
        settings: they decide on names, grouping and sizes.
        selection: what to take.
        now_ms: the time now, in ms.
        on_progress: called after each file.
    """
    files = [f for f in parents_first(found.sessions) if _is_selected(f, settings, selection)]
    planner = _Planner(settings, selection, now_ms)
    done = size = 0
    all_bytes = sum(file.size for file in files)
    for batch in _batches(files):
        planner.read(batch)
        done, size = done + len(batch), size + sum(file.size for file in batch)
        if on_progress:
            on_progress(Progress(done, len(files), size, all_bytes))
    return planner.plan(found.skipped)


def read_records(file: SessionFile, settings: Settings, now_ms: int) -> tuple[SessionParser, list[AnyRecord]]:
    """Read a session file up to the size that it had when it was found.

    Returns:
        The session, and its records: those that its lines complete, then those that have ended by now.

    Raises:
        OSError: the file cannot be read.
    """
    session = new_session(settings, file.agent)
    records: list[AnyRecord] = []
    left = file.size
    with file.path.open("rb") as lines:
        for line in lines:
            if left <= 0:
                break
            whole = line[:left]
            left -= len(line)
            records += session.feed(whole, torn=not whole.endswith(b"\n"))
    records += session.finish(now_ms, file.mtime_ns // 1_000_000)
    return session, records


def new_session(settings: Settings, agent: Agent = PI) -> SessionParser:
    """A session to read a file into, with the traces that the settings ask for."""
    return agent.parser(settings.trace_grouping, round(settings.session_window_minutes * 60_000))


class _Planner:
    """Collects the plan, batch by batch."""

    def __init__(self, settings: Settings, selection: Selection, now_ms: int) -> None:
        self._settings = settings
        self._selection = selection
        self._now_ms = now_ms
        self._files: list[PlannedFile] = []
        self._skipped: list[Skipped] = []
        self._frames: list[pd.DataFrame] = []
        self._events: list[EventRow] = []
        self._totals: dict[tuple[int, str], TraceTotals] = {}
        self._seen: set[str] = set()
        self._open: set[str] = set()
        self._delegations = Delegations()

    def read(self, batch: Sequence[SessionFile]) -> None:
        """Read some files; traces get their totals from one frame over all of them."""
        parsed = []
        rows: list[GenerationRow] = []
        for file in batch:
            try:
                session, records = read_records(file, self._settings, self._now_ms)
            except OSError as error:
                self._skipped.append(Skipped.unreadable(file.path, error))
                continue
            index = len(self._files)
            facts = facts_of(file, self._settings)
            subagent = session.subagent.name if session.subagent else None
            issues = list(session.issues.values())
            self._files.append(PlannedFile(file, facts, session.name, session.first_prompt, subagent, issues))
            self._delegations.note(file, session)
            parsed.append((index, session, records))
            rows += [generation_row(index, record) for record in records if isinstance(record, Generation)]
        frame = generation_frame(rows)
        self._totals.update(trace_totals(frame))
        counted: set[tuple[int, str]] = set()
        for index, session, records in parsed:
            counted.update((index, uuid) for uuid in self._measure(index, session, records))
            self._open |= session.open_traces()
        keys = zip(frame["file"], frame["id"], strict=True)
        self._frames.append(frame[[key in counted for key in keys]])

    def _measure(self, index: int, session: SessionParser, records: Iterable[AnyRecord]) -> Iterator[str]:
        """Add the events of a file that no file before it has; a trace still open in one is left to that."""
        file = self._files[index].file
        builder = EventBuilder(self._settings, self._files[index].facts)
        models: dict[str, str] = {}
        for record in records:
            if isinstance(record, Generation):
                models[record.id] = model_of(record)
            if record.id in self._seen or (isinstance(record, Trace) and record.id in self._open):
                continue
            self._seen.add(record.id)
            if not self._selection.takes(record.end_ms):
                continue
            starter = self._delegations.started_by(
                file.path, file.parent_session, file.agent, session, record
            )
            event = builder.build(record, self._totals.get((index, record.trace_id)), starter)
            model = models.get(record.id) or models.get(getattr(record, "parent_id", ""), "")
            sizes = (event.size_with(context) for context in CONTEXTS)
            self._events.append(
                EventRow(index, record.id, _KINDS[type(record)], model, record.end_ms, *sizes)
            )
            yield record.id

    def plan(self, skipped: Sequence[Skipped]) -> Plan:
        import pandas as pd

        frames = [frame for frame in self._frames if len(frame)]
        frame = pd.concat(frames, ignore_index=True) if frames else generation_frame(())
        events = self._events
        identify = identify_event(self._settings)
        if events and identify:
            sizes = [identify.size] * 3
            events = [EventRow(-1, identify.uuid, "identify", "", identify.end_ms, *sizes), *events]
        skipped = [*skipped, *self._skipped]
        return Plan(self._files, skipped, frame, events, self._totals, self._delegations, self._now_ms)


def _is_selected(file: SessionFile, settings: Settings, selection: Selection) -> bool:
    if selection.project is None:
        return True
    names = {facts_of(file, settings).project, project_of(file.cwd)}
    return any(fnmatchcase(name, selection.project) for name in names)


def _batches(files: Sequence[SessionFile]) -> Iterator[list[SessionFile]]:
    batch: list[SessionFile] = []
    size = 0
    for file in files:
        batch.append(file)
        size += file.size
        if size >= _BATCH_BYTES or len(batch) >= _BATCH_FILES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
