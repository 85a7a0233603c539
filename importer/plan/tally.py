"""Columns of many session files to figures; importing this imports numpy.

What two files hold is counted once, for the first of them. Of every event no more than its id is kept and
the row that it counts in, and of most of them not in memory.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np

from importer.build.event import CONTEXTS
from importer.periods import local_day
from importer.plan.event_index import EventIndex
from importer.plan.grouping import Groups
from importer.plan.kept_totals import KeptTotals
from importer.plan.seen import SeenIds
from importer.selection import Selection
from importer.totals import SUMS, TOKENS, Sums
from parsers.counting.rows import GENERATION, IDENTIFY, KINDS, NO_TIME, ROW, TRACE, CountedFiles
from parsers.identity import uuid_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from importer.build.event import Event
    from importer.plan.grouping import Arrays
    from importer.totals import TraceTotals

    Waiting = list[tuple[CountedFiles, int]]

_ROW_TYPE = np.dtype(
    [
        ("id", "V16"),
        ("trace_id", "V16"),
        ("started_ms", "<i8"),
        ("end_ms", "<i8"),
        *((name, "<i8") for name in TOKENS),
        ("cost_usd", "<f8"),
        ("model", "<i4"),
        *((name, "<i4") for name in CONTEXTS),
        ("kind", "u1"),
        ("prompts", "u1"),
    ]
)
assert _ROW_TYPE.itemsize == ROW.size  # noqa: S101  two words for one layout

_KEY = ("file", "kind", "model", "day")
_ADDED = ("events", *CONTEXTS, "prompts", *SUMS)
_ROW = (*_KEY, *_ADDED, "started_ms")
_AT_ONCE = 16_000  # events that are grouped at once: what a processor's cache holds
_QUARTER_MS = 15 * 60_000  # every time zone's midnight is at a quarter of an hour


class Tally:
    """Adds up the columns of session files, in the order in which the files come.

    Args:
        selection: the period to take.
        identify: says who the user is; where there are any events, it comes first.
        with_totals: whether to keep the totals of the traces that are taken.

    Attributes:
        totals: these totals.
    """

    def __init__(
        self, selection: Selection, identify: Event | None = None, *, with_totals: bool = False
    ) -> None:
        self._selection = selection
        self._identify = identify
        self._with_totals = with_totals
        self.totals = KeptTotals()
        self._seen = SeenIds()
        self._open: dict[bytes, int] = {}
        self._models: dict[str, int] = {"": 0}
        self._days: dict[int, int] = {}
        self._day_names: dict[str, int] = {}
        self._waiting: Waiting = []
        self._events = 0
        self._rows: list[Arrays] = []
        self._row_count = 0
        self._index = EventIndex()

    def add(self, columns: CountedFiles, first: int) -> None:
        """Add the columns of some files, the first of which has that place in the plan."""
        self._waiting.append((columns, first))
        self._events += len(columns.rows) // ROW.size
        if self._events >= _AT_ONCE:
            self._group()

    def result(self) -> tuple[Arrays, EventIndex]:
        """The figures and the events; to be asked once, at the end.

        The figures are columns with a row for each file, kind of event, model and day.
        """
        self._group()
        self._seen = SeenIds()  # nobody asks it again
        rows, self._rows = self._rows, []
        columns = {name: _joined([each.pop(name) for each in rows]) for name in _ROW}
        columns["cost_usd"] = columns["cost_usd"].astype(np.float64)  # dollars, even where there are none
        for name, names in (("kind", KINDS), ("model", [*self._models]), ("day", [*self._day_names])):
            columns[name] = np.array([names[code] for code in columns[name].tolist()], dtype=object)
        return columns, self._index

    def _group(self) -> None:
        """Add up what waits."""
        waiting, self._waiting, self._events = self._waiting, [], 0
        if not waiting:
            return
        events = np.frombuffer(b"".join(columns.rows for columns, _ in waiting), _ROW_TYPE)
        files = np.concatenate([_files(columns, first) for columns, first in waiting])
        ids = events["id"].tobytes()
        is_call = events["kind"] == GENERATION
        calls = events[is_call]
        taken = self._taken(waiting, ids, files, events)
        if self._with_totals:
            self._add_totals(ids, files, events, calls, taken)
        quarters, place = np.unique(events["end_ms"] // _QUARTER_MS, return_inverse=True)
        days = np.array([self._day(int(quarter) * _QUARTER_MS) for quarter in quarters], dtype=np.int64)
        values: Arrays = {
            "file": files,
            "kind": events["kind"].astype(np.int64),
            "model": self._models_in(waiting, events["model"]),
            "day": days[place],
            "events": np.ones(len(events), dtype=np.int64),
            **{name: events[name].astype(np.int64) for name in CONTEXTS},
            **{name: _spread(calls[name], is_call) for name in ("prompts", *SUMS)},
        }
        started_ms = events["end_ms"].copy()
        started_ms[is_call] = np.where(
            calls["started_ms"] == NO_TIME, started_ms[is_call], calls["started_ms"]
        )
        values["started_ms"] = started_ms
        if self._identify is not None and taken.any():
            self._add_identify(self._identify)
            self._identify = None
        rows, row_of = _rows({name: column[taken] for name, column in values.items()})
        self._keep(rows, np.frombuffer(ids, dtype="V16")[taken], row_of)

    def _add_identify(self, identify: Event) -> None:
        own = dict.fromkeys(_ROW, 0) | dict.fromkeys(CONTEXTS, identify.size) | {"events": 1}
        own |= {"file": -1, "kind": IDENTIFY, "day": self._day(identify.end_ms)}
        rows = {name: np.array([value]) for name, value in own.items()}
        self._keep(rows, np.frombuffer(uuid_bytes(identify.uuid), dtype="V16"), np.zeros(1, dtype=np.int64))

    def _keep(self, rows: Arrays, ids: NDArray[np.void], row_of: NDArray[np.int64]) -> None:
        self._index.append(ids, row_of + self._row_count)
        self._rows.append(rows)
        self._row_count += len(rows["events"])

    def _taken(
        self, waiting: Waiting, ids: bytes, files: NDArray[np.int64], events: NDArray[np.void]
    ) -> NDArray[np.bool_]:
        """Which events are taken: no file before has them, and they are in the period.

        A trace that is still open in a file before is left to that file.
        """
        taken = self._seen.add(ids)
        for columns, first in waiting:
            place = first
            for about in columns.files:
                if about.error is None:
                    for trace_id in about.open_traces:
                        self._open.setdefault(trace_id, place)
                    place += 1
        for index in np.flatnonzero(taken & (events["kind"] == TRACE)).tolist():
            if self._open.get(ids[16 * index : 16 * index + 16], files[index]) < files[index]:
                taken[index] = False
        if self._selection.since_ms is not None:
            taken &= events["end_ms"] >= self._selection.since_ms
        if self._selection.until_ms is not None:
            taken &= events["end_ms"] < self._selection.until_ms
        return taken

    def _add_totals(
        self,
        ids: bytes,
        files: NDArray[np.int64],
        events: NDArray[np.void],
        calls: NDArray[np.void],
        taken: NDArray[np.bool_],
    ) -> None:
        sums: dict[tuple[int, bytes], Sums] = defaultdict(Sums)
        of_calls = files[events["kind"] == GENERATION].tolist(), calls["trace_id"].tolist()
        costs = calls["cost_usd"].tolist()
        for *key, tokens, cost in zip(*of_calls, calls[list(TOKENS)].tolist(), costs, strict=True):
            sums[key[0], key[1]].add(tokens, cost)
        totals: dict[int, dict[str, TraceTotals]] = defaultdict(dict)
        for index in np.flatnonzero(taken & (events["kind"] == TRACE)).tolist():
            file, trace_id = int(files[index]), ids[16 * index : 16 * index + 16]
            if (file, trace_id) in sums:
                totals[file][str(UUID(bytes=trace_id))] = sums[file, trace_id].totals
        for file, found in totals.items():
            self.totals.add(file, found)

    def _models_in(self, waiting: Waiting, models: NDArray[np.int32]) -> NDArray[np.int64]:
        """The models of events, by their places here."""
        known = [
            np.array([self._models.setdefault(name, len(self._models)) for name in columns.model_names])
            for columns, _ in waiting
        ]
        first = np.cumsum([0, *map(len, known)])[:-1]
        counts = [len(columns.rows) // ROW.size for columns, _ in waiting]
        found: NDArray[np.int64] = np.concatenate(known)[np.repeat(first, counts) + models]
        return found

    def _day(self, ms: int) -> int:
        quarter = ms // _QUARTER_MS
        if quarter not in self._days:
            name = local_day(ms)
            self._days[quarter] = self._day_names.setdefault(name, len(self._day_names))
        return self._days[quarter]


def _rows(values: Arrays) -> tuple[Arrays, NDArray[np.int64]]:
    """A row for each combination of key values, and each event's row."""
    key = np.zeros(len(values["events"]), dtype=np.int64)
    for name in _KEY:
        key = key * (int(values[name].max(initial=0)) + 1) + values[name]
    groups = Groups(key)
    rows = {name: groups.first(values[name]) for name in _KEY} | groups.sums(values, _ADDED)
    return rows | {"started_ms": groups.least(values["started_ms"])}, groups.place


def _spread(values: NDArray[Any], places: NDArray[np.bool_]) -> NDArray[Any]:
    """Values at some places, zeros between them."""
    spread = np.zeros(len(places), dtype=np.float64 if values.dtype == np.float64 else np.int64)
    spread[places] = values
    return spread


def _files(columns: CountedFiles, first: int) -> NDArray[np.int64]:
    counts = [about.events for about in columns.files if about.error is None]
    return np.repeat(np.arange(first, first + len(counts)), counts)


def _joined(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(arrays) if arrays else np.zeros(0, dtype=np.int64)
