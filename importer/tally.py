"""Columns of many session files to one frame of figures; importing this imports pandas, which takes its time.

What two files hold is counted once, for the first of them. Of every event its id is kept and the row that it
counts in, so that ten gigabytes of sessions take little more memory than one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from importer.columns import EVENT, GENERATION, IDENTIFY, KINDS, NO_TIME, TRACE, Columns
from importer.event import CONTEXTS
from importer.periods import local_day
from importer.seen import SeenIds
from importer.selection import Selection
from importer.totals import SUMS, TOKENS, TraceTotals, trace_totals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from importer.event import Event

_EVENT = np.dtype(
    [
        ("own", "V16"),
        ("end_ms", "<i8"),
        ("model", "<i4"),
        *((name, "<i4") for name in CONTEXTS),
        ("kind", "u1"),
    ]
)
_CALL = np.dtype(
    [
        ("trace", "V16"),
        ("start_ms", "<i8"),
        *((name, "<i8") for name in TOKENS),
        ("cost_usd", "<f8"),
        ("prompted", "u1"),
    ]
)
_KEY = ["file", "kind", "model", "day"]
_ADDED = ["events", *CONTEXTS, "prompts", *SUMS]
_AT_ONCE = 50_000  # events that are grouped at once
_QUARTER_MS = 15 * 60_000  # every time zone's midnight is at a quarter of an hour


class Tally:
    """Adds up the columns of session files, in the order in which the files come.

    Args:
        selection: the period to take.
        with_totals: whether to keep the totals of the traces that are taken.

    Attributes:
        totals: these totals, by file and trace id.
    """

    def __init__(self, selection: Selection, *, with_totals: bool = False) -> None:
        self._selection = selection
        self._with_totals = with_totals
        self.totals: dict[tuple[int, str], TraceTotals] = {}
        self._seen = SeenIds()
        self._open: dict[bytes, int] = {}
        self._models: dict[str, int] = {"": 0}
        self._days: dict[int, int] = {}
        self._day_names: dict[str, int] = {}
        self._waiting: list[tuple[Columns, int]] = []
        self._events = 0
        self._rows: list[pd.DataFrame] = []
        self._row_count = 0
        self._ids: list[bytes] = []
        self._row_of: list[NDArray[np.uint32]] = []

    def add(self, columns: Columns, first: int) -> None:
        """Add the columns of some files, the first of which has that place in the plan."""
        self._waiting.append((columns, first))
        self._events += len(columns.events) // EVENT.size
        if self._events >= _AT_ONCE:
            self._group()

    def result(self, identify: Event | None) -> tuple[pd.DataFrame, bytes, NDArray[np.uint32]]:
        """The frame of figures, the ids of the events, and the row of each of them.

        Where there are any, the event that says who the user is comes first.
        """
        self._group()
        rows = self._rows or [_frame({name: [] for name in [*_KEY, *_ADDED, "started_ms"]})]
        ids, row_of = self._ids, self._row_of
        if identify is not None and ids:
            own = dict.fromkeys([*_ADDED, "started_ms"], 0) | dict.fromkeys(CONTEXTS, identify.size)
            key = {"file": -1, "kind": IDENTIFY, "model": 0, "day": self._day(identify.end_ms)}
            rows.append(_frame({name: [value] for name, value in (own | key | {"events": 1}).items()}))
            ids = [bytes.fromhex(identify.uuid.replace("-", "")), *ids]
            row_of = [np.array([self._row_count], dtype=np.uint32), *row_of]
        frame = pd.concat(rows, ignore_index=True)
        for name, names in (("kind", KINDS), ("model", [*self._models]), ("day", [*self._day_names])):
            frame[name] = np.array(names, dtype=object)[frame[name].to_numpy()] if len(frame) else ""
        return frame, b"".join(ids), np.concatenate(row_of or [np.zeros(0, dtype=np.uint32)])

    def _group(self) -> None:
        """Add up what waits."""
        waiting, self._waiting, self._events = self._waiting, [], 0
        if not waiting:
            return
        events = np.frombuffer(b"".join(columns.events for columns, _ in waiting), _EVENT)
        ids = _uuids(events["own"])
        frame = _frame(
            {
                "file": np.concatenate([_files(columns, first) for columns, first in waiting]),
                "kind": events["kind"],
                "model": self._models_in(waiting, events["model"]),
                "end_ms": events["end_ms"],
                **{name: events[name].astype(np.int64) for name in CONTEXTS},
            }
        )
        calls = self._calls(waiting, frame)
        taken = self._taken(waiting, ids, frame)
        if self._with_totals:
            self._add_totals(waiting, ids, frame, calls, taken)
        frame["events"] = 1
        is_call = frame["kind"].to_numpy() == GENERATION
        for name in ("prompts", *SUMS):
            frame[name] = 0.0 if name == "cost_usd" else 0
            frame.loc[is_call, name] = calls[name].to_numpy()
        frame["started_ms"] = frame["end_ms"]
        frame.loc[is_call, "started_ms"] = calls["started_ms"].to_numpy()
        quarters, place = np.unique(frame["end_ms"].to_numpy() // _QUARTER_MS, return_inverse=True)
        frame["day"] = np.array([self._day(int(quarter) * _QUARTER_MS) for quarter in quarters])[place]
        frame = frame[taken]
        groups = frame.groupby(_KEY, sort=False)
        rows = groups[_ADDED].sum()
        rows["started_ms"] = groups["started_ms"].min()
        self._rows.append(rows.reset_index())
        self._row_of.append((groups.ngroup().to_numpy() + self._row_count).astype(np.uint32))
        self._row_count += len(rows)
        self._ids.append(np.frombuffer(ids, dtype="V16")[taken].tobytes())

    def _taken(
        self, waiting: list[tuple[Columns, int]], ids: bytes, frame: pd.DataFrame
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
        files = frame["file"].to_numpy()
        for index in np.flatnonzero(taken & (frame["kind"].to_numpy() == TRACE)).tolist():
            if self._open.get(ids[16 * index : 16 * index + 16], files[index]) < files[index]:
                taken[index] = False
        end_ms = frame["end_ms"].to_numpy()
        if self._selection.since_ms is not None:
            taken &= end_ms >= self._selection.since_ms
        if self._selection.until_ms is not None:
            taken &= end_ms < self._selection.until_ms
        return taken

    def _calls(self, waiting: list[tuple[Columns, int]], frame: pd.DataFrame) -> pd.DataFrame:
        """The frame of all generations, also of those that another file has."""
        own = frame.loc[frame["kind"] == GENERATION, ["file", "end_ms"]]
        calls = np.frombuffer(b"".join(columns.calls for columns, _ in waiting), _CALL)
        no_time = calls["start_ms"] == NO_TIME
        return _frame(
            {
                "file": own["file"].to_numpy(),
                "started_ms": np.where(no_time, own["end_ms"].to_numpy(), calls["start_ms"]),
                **{name: calls[name] for name in SUMS},
                "prompts": calls["prompted"].astype(np.int64),
                "trace": calls["trace"],
            }
        )

    def _add_totals(
        self,
        waiting: list[tuple[Columns, int]],
        ids: bytes,
        frame: pd.DataFrame,
        calls: pd.DataFrame,
        taken: NDArray[np.bool_],
    ) -> None:
        calls["trace_id"] = [bytes(trace).hex() for trace in calls["trace"]]
        totals = trace_totals(calls)
        files = frame["file"].to_numpy()
        for index in np.flatnonzero(taken & (frame["kind"].to_numpy() == TRACE)).tolist():
            key = ids[16 * index : 16 * index + 16].hex()
            file = int(files[index])
            if (file, key) in totals:
                self.totals[file, f"{key[:8]}-{key[8:12]}-{key[12:16]}-{key[16:20]}-{key[20:]}"] = totals[
                    file, key
                ]

    def _models_in(self, waiting: list[tuple[Columns, int]], models: NDArray[np.int32]) -> NDArray[np.int64]:
        """The models of events, by their places here."""
        known = [
            np.array([self._models.setdefault(name, len(self._models)) for name in columns.model_names])
            for columns, _ in waiting
        ]
        first = np.cumsum([0, *map(len, known)])[:-1]
        events = [len(columns.events) // EVENT.size for columns, _ in waiting]
        return np.concatenate(known)[np.repeat(first, events) + models]

    def _day(self, ms: int) -> int:
        quarter = ms // _QUARTER_MS
        if quarter not in self._days:
            name = local_day(ms)
            self._days[quarter] = self._day_names.setdefault(name, len(self._day_names))
        return self._days[quarter]


def _files(columns: Columns, first: int) -> NDArray[np.int64]:
    counts = [about.events for about in columns.files if about.error is None]
    return np.repeat(np.arange(first, first + len(counts)), counts)


def _uuids(own: NDArray[np.void]) -> bytes:
    """What ids are made of as UUIDs of version 5, one behind the other; does nothing to those that are."""
    ids = np.frombuffer(own.tobytes(), np.uint8).reshape(-1, 16).copy()
    ids[:, 6] = ids[:, 6] & 0x0F | 0x50
    ids[:, 8] = ids[:, 8] & 0x3F | 0x80
    return ids.tobytes()


def _frame(columns: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(columns)
