"""Columns of numbers added up in groups; importing this imports numpy."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from math import fsum
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]


class Groups:
    """The groups that a column of keys makes, in the order of their first places.

    Args:
        keys: whole numbers.

    Attributes:
        keys: the key of each group.
        place: the group of each place.
    """

    def __init__(self, keys: NDArray[np.int64]) -> None:
        _, first, place = np.unique(keys, return_index=True, return_inverse=True)
        rank = np.empty(len(first), dtype=np.int64)
        rank[np.argsort(first)] = np.arange(len(first))
        self.place: NDArray[np.int64] = rank[place]
        self._order = np.argsort(self.place, kind="stable")
        self._starts = np.searchsorted(self.place[self._order], np.arange(len(first)))
        self.keys: NDArray[np.int64] = self.first(keys)

    def __len__(self) -> int:
        return len(self._starts)

    def first(self, values: NDArray[Any]) -> NDArray[Any]:
        """The first value of each group."""
        found: NDArray[Any] = values[self._order][self._starts]
        return found

    def least(self, values: NDArray[Any]) -> NDArray[Any]:
        """The least value of each group."""
        return self._reduced(np.minimum, values)

    def sums(self, values: Arrays, names: Iterable[str]) -> Arrays:
        """The sums of each group, by the names of columns; those of dollars are exact to the last bit."""
        return {name: self._sum(values[name]) for name in names}

    def _sum(self, values: NDArray[Any]) -> NDArray[Any]:
        if values.dtype != np.float64:
            return self._reduced(np.add, values)
        ordered = values[self._order].tolist()
        edges = [*self._starts.tolist(), len(ordered)]
        return np.array([fsum(ordered[start:end]) for start, end in pairwise(edges)], dtype=np.float64)

    def _reduced(self, reduce: np.ufunc, values: NDArray[Any]) -> NDArray[Any]:
        ordered = values[self._order]
        found: NDArray[Any] = reduce.reduceat(ordered, self._starts) if len(self) else ordered
        return found
