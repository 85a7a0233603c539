"""The frame of a plan: a row an event, made of the rows that workers hand over.

pandas is imported here, so import this only once the worker processes are at work.

=================================  =====================  ====================================================
column                             dtype                  holds
=================================  =====================  ====================================================
id_high, id_low                    uint64                 the halves of its UUID (see :func:`format_ids`)
kind                               category               generation, span, run, trace or identify
trace_id                           category of str        the UUID of its trace
file                               int32                  its file's place in the plan, -1 for ``$identify``
session, project, model, day       category of str        the header's id, the project, the model that was
                                                          asked, the local date of its end
started_at, ended_at               datetime64[ms, UTC]    NaT where pi recorded no start
input_tokens … cache_write_tokens  int64                  tokens, 0 for all but generations
cost_usd                           float64                US dollars, 0 for all but generations
prompts                            int8                   1 for the first call that a prompt led to
full, turn, new                    int32                  bytes of the event by input context (estimated)
bare                               int32                  the same without content
cost_basis                         category of str        where its cost comes from, empty for other kinds
=================================  =====================  ====================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import numpy as np
import pandas as pd

from importer.plan.columns import (
    join_halves,
    make_category,
    make_days,
    make_moments,
    make_trace_ids,
    name_places,
)
from importer.plan.copies import OpenTraces
from importer.totals import CONTEXTS, TOKENS, totals
from parsers.counting.rows import (
    COST_BASES,
    GENERATION,
    IDENTIFY,
    KINDS,
    NO_TIME,
    ROW,
    RUN,
    TRACE,
    CountedFiles,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from importer.build.event import Event
    from importer.selection import Selection

    Arrays = dict[str, NDArray[Any]]

ROW_DTYPE = np.dtype(
    [
        ("id_high", ">u8"),
        ("id_low", ">u8"),
        ("trace_high", ">u8"),
        ("trace_low", ">u8"),
        ("started_ms", "<i8"),
        ("ended_ms", "<i8"),
        *((name, "<i8") for name in TOKENS),
        ("cost_usd", "<f8"),
        ("model", "<i4"),
        *((name, "<i4") for name in (*CONTEXTS, "bare")),
        ("kind", "u1"),
        ("prompts", "u1"),
        ("cost_basis", "u1"),
    ]
)
"""A :data:`parsers.counting.rows.ROW` as numpy reads it."""

assert ROW_DTYPE.itemsize == ROW.size  # noqa: S101  two words for one layout

_NAMES = ROW_DTYPE.names or ()
_BLOCK_BYTES = 48 * 1024 * 1024  # more than what malloc keeps for itself
_OF_CALLS = (*TOKENS, "cost_usd")
_NARROW = dict.fromkeys(("model", *CONTEXTS, "bare"), np.int32) | dict.fromkeys(
    ("kind", "prompts", "cost_basis"), np.int8
)


class Counted(NamedTuple):
    """Some files that were read, the place of the first of these in the plan, and their rows."""

    columns: CountedFiles
    first: int
    rows: memoryview | bytearray


class RowBlocks:
    """Keeps the rows of very many files in large blocks: freed, each goes back to the system at once."""

    def __init__(self) -> None:
        self._block = memoryview(bytearray())
        self._used = 0

    def take(self, columns: CountedFiles) -> memoryview:
        """Take the rows away from what was counted, and return where they are kept."""
        rows, columns.rows = columns.rows, bytearray()
        if self._used + len(rows) > len(self._block):
            self._block = np.empty(max(_BLOCK_BYTES, len(rows)), np.uint8).data
            self._used = 0
        start, self._used = self._used, self._used + len(rows)
        kept = self._block[start : self._used]
        kept[:] = rows
        return kept


class Planned(NamedTuple):
    """The frame of a plan, and the totals of its traces, sorted by file."""

    frame: pd.DataFrame
    trace_totals: pd.DataFrame | None


def build_frame(
    counted: list[Counted],
    sessions: Sequence[tuple[str, str]],
    selection: Selection,
    identify: Event | None = None,
    *,
    with_totals: bool = False,
    content_since_ms: int | None = None,
) -> Planned:
    """Make the frame of all rows, without the copies that forks hold.

    Args:
        counted: the rows of all files in their order; the list is emptied on the way, to save memory.
        sessions: the session id and the project of each file.
        selection: the period to take.
        identify: the event that names the person; where there are any others, it comes first.
        with_totals: whether to add up the traces.
        content_since_ms: events that ended before then (ms since the epoch) go without content, so that each
            of their sizes is ``bare``.

    Returns:
        The frame, and with ``with_totals`` a row for each file and trace in it: the sums over all
        generations that the file holds of the trace.
    """
    models, arrays, open_traces = _read_rows(counted)
    taken = _find_own(arrays, open_traces)
    if selection.since_ms is not None:
        taken &= arrays["ended_ms"] >= selection.since_ms
    if selection.until_ms is not None:
        taken &= arrays["ended_ms"] < selection.until_ms
    calls = _sum_calls(arrays) if with_totals else None
    if not taken.all():
        for name in arrays:
            arrays[name] = arrays[name][taken]
    if content_since_ms is not None:
        is_bare = arrays["ended_ms"] < content_since_ms
        for name in CONTEXTS:
            arrays[name][is_bare] = arrays["bare"][is_bare]
    if identify is not None and len(arrays["file"]):
        _add_identify(arrays, identify)
    frame = _make_frame(arrays, models, sessions)
    return Planned(frame, None if calls is None else _pick_trace_totals(frame, calls))


def format_ids(frame: pd.DataFrame) -> list[str]:
    """Return the ids of events as text; ``frame`` has the columns ``id_high`` and ``id_low``."""
    return [str(UUID(bytes=each)) for each in pack_ids(frame)]


def name_rows(frame: pd.DataFrame, paths: Sequence[str]) -> pd.DataFrame:
    """Return the frame for people: ids as text, files by their paths (missing for ``$identify``).

    Args:
        frame: as :func:`build_frame` makes it.
        paths: the path of each file of the plan.
    """
    names = name_places(frame["file"].to_numpy(), [*paths, ""])
    named = frame.assign(id=format_ids(frame), file=names.remove_categories([""]))
    first = ["id", "kind", "trace_id", "file"]
    rest = [name for name in named.columns if name not in (*first, "id_high", "id_low")]
    return named[first + rest]


def pack_ids(frame: pd.DataFrame) -> list[bytes]:
    """Return the ids of events as 16 bytes each."""
    return join_halves(frame["id_high"].to_numpy(), frame["id_low"].to_numpy())


def _read_rows(counted: list[Counted]) -> tuple[list[str], Arrays, OpenTraces]:
    """Read all rows into arrays, with the file of each; models become places in one list."""
    count = sum(len(rows) for _, _, rows in counted) // ROW.size
    arrays: Arrays = {
        name: np.empty(count, _NARROW.get(name, ROW_DTYPE[name].newbyteorder("=")))
        for name in ROW_DTYPE.names or ()
    }
    arrays["file"] = np.empty(count, np.int32)
    models: dict[str, int] = {"": 0}
    open_traces = OpenTraces()
    end = 0
    counted.reverse()
    while counted:
        columns, place, packed = counted.pop()
        rows = np.frombuffer(packed, ROW_DTYPE)
        start, end = end, end + len(rows)
        for name in _NAMES:
            arrays[name][start:end] = rows[name]
        known = [models.setdefault(name, len(models)) for name in columns.model_names]
        arrays["model"][start:end] = np.array(known, np.int32)[rows["model"]]
        read = [file for file in columns.files if file.error is None]
        files = np.arange(place, place + len(read), dtype=np.int32)
        arrays["file"][start:end] = np.repeat(files, [file.events for file in read])
        for file, number in zip(read, files.tolist(), strict=True):
            open_traces.add(file.open_traces, number)
    return list(models), arrays, open_traces


def _find_own(arrays: Arrays, open_traces: OpenTraces) -> NDArray[np.bool_]:
    """Find the rows that are no copies: no file before has the event, or is still collecting its trace."""
    ids = pd.DataFrame({name: arrays[name] for name in ("id_high", "id_low")}, copy=False)
    own = np.ones(len(ids), bool)
    near = ids.duplicated("id_high", keep=False).to_numpy()  # half of an id tells nearly all apart
    own[near] = ~ids[near].duplicated().to_numpy()
    if open_traces:
        traces = np.flatnonzero(own & np.isin(arrays["kind"], (RUN, TRACE)))
        trace_ids = join_halves(arrays["id_high"][traces], arrays["id_low"][traces])
        files = arrays["file"][traces].tolist()
        own[traces] = [not open_traces.leaves_out(*each) for each in zip(trace_ids, files, strict=True)]
    return own


def _sum_calls(arrays: Arrays) -> pd.DataFrame:
    """Add up the generations of each file and trace, copies and those of other periods included."""
    is_call = arrays["kind"] == GENERATION
    names = ("file", "trace_high", "trace_low", *_OF_CALLS)
    calls = pd.DataFrame({name: arrays[name][is_call] for name in names}, copy=False)
    return totals(calls, by=["file", "trace_high", "trace_low"])


def _pick_trace_totals(frame: pd.DataFrame, calls: pd.DataFrame) -> pd.DataFrame:
    """Pick the sums of the traces that are in the frame, with the trace's id as text."""
    traces = frame.loc[frame["kind"] == "trace", ["file", "id_high", "id_low", "trace_id"]]
    keys = {"trace_high": "id_high", "trace_low": "id_low"}
    joined = traces.merge(
        calls, left_on=["file", *keys.values()], right_on=["file", *keys], how="inner", sort=True
    )
    return joined[["file", "trace_id", *_OF_CALLS]]


def _add_identify(arrays: Arrays, identify: Event) -> None:
    """Put the ``$identify`` first."""
    own = UUID(identify.uuid).int
    values: dict[str, int] = dict.fromkeys((*CONTEXTS, "bare"), identify.size) | {
        "id_high": own >> 64,
        "id_low": own & (2**64 - 1),
        "file": -1,
        "kind": IDENTIFY,
        "started_ms": NO_TIME,
        "ended_ms": identify.end_ms,
    }
    for name, array in arrays.items():
        arrays[name] = np.concatenate((np.array([values.get(name, 0)], array.dtype), array))


def _make_frame(arrays: Arrays, models: list[str], sessions: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Make the frame of the arrays; each is given up once it is in there."""
    files = arrays.pop("file")
    columns: dict[str, Any] = {name: arrays.pop(name) for name in ("id_high", "id_low")}
    columns["kind"] = make_category(arrays.pop("kind"), KINDS)
    columns["trace_id"] = make_trace_ids(arrays.pop("trace_high"), arrays.pop("trace_low"))
    columns["file"] = files
    for name, names in zip(
        ("session", "project"), zip(*sessions, strict=True) if sessions else ((), ()), strict=True
    ):
        columns[name] = name_places(files, (*names, ""))  # the last one is that of -1
    columns["model"] = name_places(arrays.pop("model"), models)
    ended_ms = arrays.pop("ended_ms")
    columns["day"] = make_days(ended_ms)
    columns["started_at"] = make_moments(arrays.pop("started_ms"))
    columns["ended_at"] = make_moments(ended_ms)
    columns |= {name: arrays.pop(name) for name in (*_OF_CALLS, "prompts", *CONTEXTS, "bare")}
    columns["cost_basis"] = make_category(arrays.pop("cost_basis"), COST_BASES)
    return pd.DataFrame(columns, copy=False)
