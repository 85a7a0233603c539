"""The plan of an import: every session counted once, and everything that would be sent.

Preview shows the plan; backfill delivers it. Copies that forks hold are counted once, parents first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from importer.cache import Cache
from importer.discovery import Discovery, SessionFile, Skipped, parents_first
from importer.event import CONTEXTS
from importer.events import estimator, identify_event
from importer.facts import SessionFacts, facts_of, project_of
from importer.remembering import RememberingCounter
from importer.selection import EVERYTHING, Selection
from importer.settings import Settings
from importer.totals import TraceTotals
from importer.workers import Counter, LocalCounter
from parsers.issues import Issue

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from importer.grouping import Arrays

_LOOKUP = 20_000


@dataclass(slots=True)
class PlannedFile:
    """One session of the plan.

    Attributes:
        file: the file, as it was when it was read: later lines are for a later import.
        name, first_prompt: what a person knows it by, at most 10,000 characters.
        words_at: the lines that these stand in, 0 for none; None where nobody can tell.
        subagent: the name of the subagent whose session it is.
        issues: what was wrong with it.
    """

    file: SessionFile
    facts: SessionFacts
    name: str | None = None
    first_prompt: str | None = None
    words_at: tuple[int, int] | None = None
    subagent: str | None = None
    issues: list[Issue] = field(default_factory=list)


class PlannedEvent(NamedTuple):
    """One event that would be sent; ``file`` is its file's place in the plan, -1 for none."""

    uuid: str
    file: int
    kind: str
    model: str


@dataclass
class Plan:
    """What an import would send.

    Attributes:
        files: the sessions, parents before their forks.
        skipped: the files that were left out.
        figures: all figures as columns, without the copies in forks: a row for each file, kind of event,
            model and day, with sums over its events and generations (see :mod:`importer.tally`).
        ids: the uuids of the events that would be sent, 16 bytes each, file after file.
        row_of: the row of each of them.
        delivered: which of them are delivered already.
        totals: the totals of the traces, by file and trace id, where they were asked for.
        now_ms: the moment of the import: what had ended by then is in it.
        is_final: whether it will be the same at any later moment, as long as no file is written to.
    """

    files: list[PlannedFile]
    skipped: list[Skipped]
    figures: Arrays
    ids: bytes
    row_of: NDArray[np.uint32]
    delivered: NDArray[np.bool_]
    totals: dict[tuple[int, str], TraceTotals]
    now_ms: int
    is_final: bool = False

    def __len__(self) -> int:
        return len(self.row_of)

    @property
    def bytes_read(self) -> int:
        """Bytes of all session files."""
        return sum(planned.file.size for planned in self.files)

    @property
    def files_of(self) -> NDArray[np.int32]:
        """The file of each event, its place in the plan; -1 for none."""
        found: NDArray[np.int32] = self.figures["file"].astype("int32")[self.row_of]
        return found

    @property
    def events(self) -> Iterator[PlannedEvent]:
        """The events one by one."""
        columns = (self.figures[name].tolist() for name in ("file", "kind", "model"))
        files, kinds, models = columns
        for index, row in enumerate(self.row_of.tolist()):
            yield PlannedEvent(self.uuid(index), files[row], kinds[row], models[row])

    def uuid(self, index: int) -> str:
        """The uuid of an event as text."""
        return str(UUID(bytes=self.ids[16 * index : 16 * index + 16]))

    def waiting(self) -> Waiting:
        """How much is not delivered."""
        import numpy as np

        rows = self.row_of[~self.delivered]
        figures = self.figures
        counts = np.bincount(rows, minlength=len(figures["events"]))
        share = counts / np.maximum(figures["events"], 1)
        sizes = {name: round(float((figures[name] * share).sum())) for name in CONTEXTS}
        files = set(figures["file"][counts > 0].tolist()) - {-1}
        return Waiting(len(rows), len(files), sizes)

    def wanted(self) -> Iterator[tuple[int, dict[str, int]]]:
        """For each file with events that are not delivered: its place, and theirs in the plan by uuid."""
        import numpy as np

        files_of = self.files_of
        inner = (np.flatnonzero(files_of[1:] != files_of[:-1]) + 1).tolist()
        starts = [0, *inner] if len(self) else []
        files = files_of[starts].tolist()
        del files_of  # sending may take hours, and this is large
        for file, (start, end) in zip(files, pairwise([*starts, len(self)]), strict=True):
            places = (np.flatnonzero(~self.delivered[start:end]) + start).tolist()
            if places:
                yield file, {self.uuid(place): place for place in places}

    def mark_delivered(self, known: Callable[[Sequence[bytes]], AbstractSet[bytes]]) -> None:
        """Ask which events are delivered, and note it.

        Args:
            known: gives those of some ids that are delivered.
        """
        for start in range(0, len(self), _LOOKUP):
            asked = [
                self.ids[at : at + 16] for at in range(16 * start, 16 * min(start + _LOOKUP, len(self)), 16)
            ]
            found = known(asked)
            self.delivered[start : start + len(asked)] = [each in found for each in asked] if found else False


class Waiting(NamedTuple):
    """What is not delivered: events, their files, and about their bytes by input context."""

    events: int
    files: int
    bytes_of: dict[str, int]


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
    with_totals: bool = False,
    counter: Counter | None = None,
    cache: Cache | None = None,
) -> Plan:
    """Count the sessions that were found.

    Args:
        found: the session files, in any order.
        settings: they decide on names, grouping and sizes.
        selection: what to take.
        now_ms: the time now, in ms.
        on_progress: called after some files.
        with_totals: whether the totals of traces are needed, as they are to send them.
        counter: counts the files; by default processes on this machine.
        cache: remembers what was counted.
    """
    files = [f for f in parents_first(found.sessions) if _is_selected(f, settings, selection)]
    work = (settings, estimator(settings), now_ms)
    with LocalCounter(*work) as local:
        counting: Counter = counter or local
        if cache is not None:
            counting = RememberingCounter(counting, cache, work)
        return _planned(files, counting, found, settings, selection, now_ms, on_progress, with_totals)


def _planned(
    files: Sequence[SessionFile],
    counter: Counter,
    found: Discovery,
    settings: Settings,
    selection: Selection,
    now_ms: int,
    on_progress: Callable[[Progress], None] | None,
    with_totals: bool,
) -> Plan:
    counted = counter.count(files)  # from here on the processes are at work, while numpy is imported
    from importer.tally import Tally

    tally = Tally(selection, with_totals=with_totals)
    planned: list[PlannedFile] = []
    skipped: list[Skipped] = []
    is_final = True
    done = size = 0
    all_bytes = sum(file.size for file in files)
    for part, columns in counted:
        tally.add(columns, len(planned))
        is_final = is_final and all(about.is_final for about in columns.files)
        for file, about in zip(part, columns.files, strict=True):
            if about.error is not None:
                skipped.append(Skipped(file.path, f"cannot be read: {about.error}", serious=True))
                continue
            planned.append(
                PlannedFile(
                    file,
                    facts_of(file, settings),
                    about.name,
                    about.first_prompt,
                    about.words_at,
                    about.subagent,
                    about.issues,
                )
            )
        done, size = done + len(part), size + sum(file.size for file in part)
        if on_progress:
            on_progress(Progress(done, len(files), size, all_bytes))
    figures, ids, row_of = tally.result(identify_event(settings))
    return Plan(
        planned, [*found.skipped, *skipped], figures, ids, row_of, row_of < 0, tally.totals, now_ms, is_final
    )


def _is_selected(file: SessionFile, settings: Settings, selection: Selection) -> bool:
    if selection.project is None:
        return True
    names = {facts_of(file, settings).project, project_of(file.cwd)}
    return any(fnmatchcase(name, selection.project) for name in names)


__all__ = [
    "EVERYTHING",
    "Plan",
    "PlannedEvent",
    "PlannedFile",
    "Progress",
    "Selection",
    "make_plan",
]
