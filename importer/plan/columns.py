"""The columns of a plan's frame, made of arrays: categories of text, UUIDs, days and moments.

pandas is imported here, so import this only once the worker processes are at work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
import pandas as pd

from importer.selection import local_day

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Category = pd.Categorical[str]

_QUARTER_MS = 15 * 60_000  # every time zone's midnight is at a quarter of an hour


def join_halves(high: NDArray[np.uint64], low: NDArray[np.uint64]) -> list[bytes]:
    """Join the halves of ids to 16 bytes each."""
    joined = np.column_stack((high, low)).astype(">u8").tobytes()
    return [joined[at : at + 16] for at in range(0, len(joined), 16)]


def make_category(codes: NDArray[Any], names: Sequence[str]) -> Category:
    """Make a category of places in a list of names; -1 is a missing name."""
    return pd.Categorical.from_codes(codes, pd.Index(list(names)))


def name_places(places: NDArray[np.integer[Any]], names: Sequence[str]) -> Category:
    """Make a category of the names at some places, whose categories are sorted."""
    categories = sorted(set(names))
    codes = {name: code for code, name in enumerate(categories)}
    return make_category(np.array([codes[name] for name in names], np.int32)[places], categories)


def make_trace_ids(high: NDArray[np.uint64], low: NDArray[np.uint64]) -> Category:
    """Make the UUIDs of traces of their halves, as a category of text; none where both halves are 0."""
    codes, found = pd.factorize(high, sort=True)
    lows = np.zeros(len(found), np.uint64)
    lows[codes] = low
    if (lows[codes] != low).any():  # two traces that share the first half of their ids
        pairs, codes = np.unique(np.column_stack((high, low)), axis=0, return_inverse=True)
        found, lows = pairs[:, 0], pairs[:, 1]
    names = [str(UUID(bytes=each)) for each in join_halves(found, lows)]
    if len(found) and not (found[0] or lows[0]):
        codes, names = codes - 1, names[1:]
    return make_category(codes, names)


def make_days(ended_ms: NDArray[np.int64]) -> Category:
    """Make a category of the local dates of moments (ms since the epoch)."""
    quarters, places = np.unique(ended_ms // _QUARTER_MS, return_inverse=True)
    return name_places(places, [local_day(quarter * _QUARTER_MS) for quarter in quarters.tolist()])


def make_moments(ms: NDArray[np.int64]) -> pd.DatetimeIndex:
    """Make datetimes in UTC of milliseconds since the epoch; NO_TIME is pandas' NaT."""
    return pd.DatetimeIndex(ms.view("M8[ms]")).tz_localize("UTC")
