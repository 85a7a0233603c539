"""The plan of an import: every session counted once, and everything that would be sent.

Preview shows the plan; backfill delivers it. Copies that forks hold are counted once, parents first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from importer.build.estimate import make_estimator
from importer.build.facts import project_name, project_of
from importer.build.person import make_identify_event
from importer.plan.cache import Cache
from importer.plan.cached_counter import CachedCounter
from importer.plan.copies import find_own_ids
from importer.plan.counter import Counter, LocalCounter
from importer.plan.progress import Progress
from importer.selection import EVERYTHING, Selection
from importer.sessions.discovery import Discovery
from importer.sessions.forks import parents_first
from importer.sessions.session_file import SessionFile, Skipped
from importer.settings import Settings
from importer.totals import CONTEXTS, TraceTotals, totals, trace_totals
from parsers.counting.rows import CountedFile, CountedFiles
from parsers.records import Issue

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

_AT_ONCE = 20_000  # ids that the ledger is asked for


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


class Waiting(NamedTuple):
    """What is not delivered: events, files, bytes by input context, and events that go without content."""

    events: int
    files: int
    bytes_of: dict[str, int]
    numbers_only: int = 0


class Plan:
    """What an import would send: :func:`make_plan` makes it.

    Args:
        files, skipped, now_ms, is_final, content_since_ms: see the attributes.
        frame: a row an event (see :mod:`importer.plan.frame`), file after file.
        trace_totals: the totals of the traces, where they were asked for.

    Attributes:
        files: the sessions, parents before their forks.
        skipped: the files that were left out.
        delivered: bool, an element an event: whether it is delivered.
        numbers_only: bool, an element an event: whether it goes without content.
        now_ms: the moment of the import (ms since the epoch): what had ended by then is in it.
        is_final: whether it will be the same until `lasts_until_ms`, as long as no file is written to.
        content_since_ms: events that ended before then (ms since the epoch) go without content.

    Example:
        >>> plan = importer.make_plan(importer.find_sessions(), importer.Settings(), since="7d")
        >>> len(plan), importer.totals(plan.frame)["cost_usd"].item()
    """

    def __init__(
        self,
        files: list[PlannedFile],
        skipped: list[Skipped],
        frame: pd.DataFrame,
        trace_totals: pd.DataFrame | None,
        now_ms: int,
        *,
        is_final: bool = False,
        content_since_ms: int | None = None,
    ) -> None:
        import numpy as np
        import pandas as pd

        self.files = files
        self.skipped = skipped
        self.now_ms = now_ms
        self.is_final = is_final
        self.content_since_ms = content_since_ms
        self.delivered: NDArray[np.bool_] = np.zeros(len(frame), bool)
        self.numbers_only: NDArray[np.bool_] = np.zeros(len(frame), bool)
        if content_since_ms is not None:
            is_old = frame["ended_at"] < pd.Timestamp(content_since_ms, unit="ms", tz="UTC")
            self.numbers_only = (is_old & (frame["file"] >= 0)).to_numpy()
        self._frame = frame
        self._trace_totals = trace_totals

    def __len__(self) -> int:
        return len(self._frame)

    @property
    def frame(self) -> pd.DataFrame:
        """The events, with ``delivered`` as it is now."""
        return self._frame.assign(delivered=self.delivered)

    @property
    def bytes_read(self) -> int:
        """Bytes of all session files."""
        return sum(planned.file.size for planned in self.files)

    def count_waiting(self) -> Waiting:
        """Count what is not delivered."""
        waiting = self._frame[["file", *CONTEXTS]][~self.delivered]
        sums = totals(waiting).iloc[0]
        files = int((waiting["file"].drop_duplicates() >= 0).sum())
        old = int((self.numbers_only & ~self.delivered).sum())
        return Waiting(int(sums["events"]), files, {name: int(sums[name]) for name in CONTEXTS}, old)

    def has_content(self, places: Collection[int]) -> bool:
        """Tell whether any of the events at some places of the plan goes with content."""
        return not self.numbers_only[list(places)].all()

    def lasts_until_ms(self) -> int | None:
        """Return the last moment (ms since the epoch) at which the same events have content."""
        ended = self._frame["ended_at"][~self.numbers_only & (self._frame["file"] >= 0)]
        if self.content_since_ms is None or ended.empty:
            return None
        return self.now_ms - self.content_since_ms + int(ended.min().timestamp() * 1000)

    def find_wanted(self) -> Iterator[tuple[int, dict[str, int]]]:
        """For each file with events that are not delivered: its place, and theirs in the plan by uuid."""
        import numpy as np

        from importer.plan.frame import format_ids

        files = self._frame["file"].to_numpy()
        edges = [*np.flatnonzero(np.diff(files, prepend=-2)).tolist(), len(files)]
        for start, end in pairwise(edges):
            places = np.flatnonzero(~self.delivered[start:end]) + start
            if len(places):
                events = self._frame[["id_high", "id_low"]].iloc[places]
                yield int(files[start]), dict(zip(format_ids(events), places.tolist(), strict=True))

    def find_totals(self, file: int) -> dict[str, TraceTotals]:
        """Return the totals of the traces of a file, by trace id; none if they were not asked for."""
        if self._trace_totals is None:
            return {}
        files = self._trace_totals["file"].to_numpy()
        own = self._trace_totals.iloc[files.searchsorted(file) : files.searchsorted(file, side="right")]
        return dict(zip(own["trace_id"].tolist(), trace_totals(own), strict=True))

    def mark_delivered(self, find_known: Callable[[Sequence[bytes]], AbstractSet[bytes]]) -> None:
        """Ask which events are delivered, and note it.

        Args:
            find_known: gives those of some ids (16 bytes each) that are delivered.
        """
        from importer.plan.frame import pack_ids

        ids = self._frame[["id_high", "id_low"]]
        for start in range(0, len(ids), _AT_ONCE):
            asked = pack_ids(ids.iloc[start : start + _AT_ONCE])
            found = find_known(asked)
            self.delivered[start : start + len(asked)] = [each in found for each in asked] if found else False


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
    with _counting(files, settings, now_ms, counter, cache) as parts:
        from importer.plan.frame import (  # brings pandas, while the processes are at work
            Counted,
            RowBlocks,
            build_frame,
        )

        counted: list[Counted] = []
        blocks = RowBlocks()
        planned: list[PlannedFile] = []
        skipped: list[Skipped] = []
        is_final = True
        done = size = 0
        all_bytes = sum(file.size for file in files)
        for part, columns in parts:
            counted.append(Counted(columns, len(planned), blocks.take(columns)))
            is_final = is_final and all(about.is_final for about in columns.files)
            for file, about in zip(part, columns.files, strict=True):
                if about.error is not None:
                    skipped.append(Skipped(file.path, f"cannot be read: {about.error}", serious=True))
                else:
                    planned.append(_planned_file(file, about))
            done, size = done + len(part), size + sum(file.size for file in part)
            if on_progress:
                on_progress(Progress(done, len(files), size, all_bytes))
    names = [(each.file.session_id, project_name(each.file.cwd, settings)) for each in planned]
    since_ms = settings.content_since_ms(now_ms)
    frame, sums = build_frame(
        counted,
        names,
        selection,
        make_identify_event(settings),
        with_totals=with_totals,
        content_since_ms=since_ms,
    )
    skipped = [*found.skipped, *skipped]
    return Plan(planned, skipped, frame, sums, now_ms, is_final=is_final, content_since_ms=since_ms)


def find_event_ids(
    found: Discovery, settings: Settings, *, now_ms: int, cache: Cache | None = None
) -> set[bytes]:
    """Find the ids of all events that an import would send, without pandas and without their figures.

    Args:
        found: the session files, in any order.
        settings: they decide on the grouping and on the person.
        now_ms: the time now, in ms.
        cache: remembers what was counted.

    Returns:
        The 16 bytes of each id.
    """
    with _counting(parents_first(found.sessions), settings, now_ms, None, cache) as parts:
        ids = find_own_ids(columns for _, columns in parts)
    identify = make_identify_event(settings)
    if ids and identify:
        ids.add(bytes.fromhex(identify.uuid.replace("-", "")))
    return ids


@contextmanager
def _counting(
    files: Sequence[SessionFile],
    settings: Settings,
    now_ms: int,
    counter: Counter | None,
    cache: Cache | None,
) -> Iterator[Iterator[tuple[Sequence[SessionFile], CountedFiles]]]:
    """Have files counted: the processes are at work from the start of the block on."""
    work = (settings, make_estimator(settings), now_ms)
    with LocalCounter(*work) as local:
        counting: Counter = counter or local
        if cache is not None:
            counting = CachedCounter(counting, cache, work)
        yield counting.count(files)


def _planned_file(file: SessionFile, about: CountedFile) -> PlannedFile:
    return PlannedFile(file, about.name, about.first_prompt, about.words_at, about.subagent, about.issues)


def _is_selected(file: SessionFile, settings: Settings, selection: Selection) -> bool:
    if selection.project is None:
        return True
    names = {project_name(file.cwd, settings), project_of(file.cwd)}
    return any(fnmatchcase(name, selection.project) for name in names)
