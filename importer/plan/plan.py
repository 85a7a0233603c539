"""The plan of an import: every session counted once, and everything that would be sent.

Preview shows the plan; backfill delivers it. Copies that forks hold are counted once, parents first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from importer.build.event import CONTEXTS
from importer.build.events import estimator, identify_event
from importer.build.facts import project_name, project_of
from importer.plan.cache import Cache
from importer.plan.remembering import RememberingCounter
from importer.plan.workers import Counter, LocalCounter
from importer.selection import EVERYTHING, Selection
from importer.sessions.discovery import Discovery, SessionFile, Skipped, parents_first
from importer.settings import Settings
from parsers.records import Issue

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from importer.plan.event_index import EventIndex
    from importer.plan.grouping import Arrays
    from importer.plan.kept_totals import KeptTotals


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
            model and day, with sums over its events and generations (see :mod:`importer.plan.tally`).
        index: the events that would be sent, file after file.
        delivered: which of them are delivered already.
        totals: the totals of the traces, by their files' places, where they were asked for.
        now_ms: the moment of the import: what had ended by then is in it.
        is_final: whether it will be the same at any later moment, as long as no file is written to.
    """

    files: list[PlannedFile]
    skipped: list[Skipped]
    figures: Arrays
    index: EventIndex
    delivered: NDArray[np.bool_]
    totals: KeptTotals
    now_ms: int
    is_final: bool = False

    def __len__(self) -> int:
        return len(self.index)

    @property
    def bytes_read(self) -> int:
        """Bytes of all session files."""
        return sum(planned.file.size for planned in self.files)

    @property
    def events(self) -> Iterator[PlannedEvent]:
        """The events one by one."""
        from importer.plan.event_index import uuids

        columns = (self.figures[name].tolist() for name in ("file", "kind", "model"))
        files, kinds, models = columns
        for _, events in self.index.parts():
            for uuid, row in zip(uuids(events), events["row"].tolist(), strict=True):
                yield PlannedEvent(uuid, files[row], kinds[row], models[row])

    def delivered_counts(self) -> NDArray[np.int64]:
        """How many events of each row are delivered."""
        import numpy as np

        counts = np.zeros(len(self.figures["events"]), dtype=np.int64)
        for places, events in self.index.parts():
            rows = events["row"][self.delivered[places]]
            if len(rows):
                counts += np.bincount(rows, minlength=len(counts))
        return counts

    def waiting(self) -> Waiting:
        """How much is not delivered."""
        import numpy as np

        figures = self.figures
        counts = figures["events"] - self.delivered_counts()
        share = counts / np.maximum(figures["events"], 1)
        sizes = {name: round(float((figures[name] * share).sum())) for name in CONTEXTS}
        files = set(figures["file"][counts > 0].tolist()) - {-1}
        return Waiting(int(counts.sum()), len(files), sizes)

    def wanted(self) -> Iterator[tuple[int, dict[str, int]]]:
        """For each file with events that are not delivered: its place, and theirs in the plan by uuid."""
        import numpy as np

        from importer.plan.event_index import uuids

        none_and_files = np.bincount(self.figures["file"] + 1, weights=self.figures["events"])
        end = 0
        for file, count in enumerate(none_and_files.astype(np.int64).tolist(), -1):
            start, end = end, end + count
            places = np.flatnonzero(~self.delivered[start:end])
            if len(places):
                events = self.index.read(start, end)[places]
                yield file, dict(zip(uuids(events), (places + start).tolist(), strict=True))

    def mark_delivered(self, known: Callable[[Sequence[bytes]], AbstractSet[bytes]]) -> None:
        """Ask which events are delivered, and note it.

        Args:
            known: gives those of some ids that are delivered.
        """
        for places, events in self.index.parts():
            asked = events["id"].tolist()
            found = known(asked)
            self.delivered[places] = [each in found for each in asked] if found else False


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
    import numpy as np

    from importer.plan.tally import Tally

    tally = Tally(selection, identify_event(settings), with_totals=with_totals)
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
    figures, index = tally.result()
    delivered = np.zeros(len(index), dtype=bool)
    skipped = [*found.skipped, *skipped]
    return Plan(planned, skipped, figures, index, delivered, tally.totals, now_ms, is_final)


def _is_selected(file: SessionFile, settings: Settings, selection: Selection) -> bool:
    if selection.project is None:
        return True
    names = {project_name(file.cwd, settings), project_of(file.cwd)}
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
