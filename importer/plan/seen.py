"""Which ids were seen before, sixteen bytes each: a set of text would take ten times that.

The latest are in memory as they are; of older ones only the first four bytes, the whole of them on disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from importer.plan.spill import Spill

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_RATIO = 2  # a run of ids is merged with a newer one that is not this much smaller
_APART = 500  # ids on disk for each that is looked up
_FULL = 200_000  # ids: a run that has as many is not merged any more, and laid down


class _LaidDown(NamedTuple):
    """A run of sorted ids on disk: their first four bytes, and where the first of them lies."""

    starts: NDArray[np.uint32]
    place: int


class SeenIds:
    """Ids as sorted runs of two integers each; a newer run is merged with an older one of its size.

    Args:
        full: how many ids of a run have it laid down.
    """

    def __init__(self, full: int = _FULL) -> None:
        self._runs: list[tuple[NDArray[np.uint64], NDArray[np.uint64]]] = []
        self._laid_down: list[_LaidDown] = []
        self._spill = Spill()
        self._full = full

    def add(self, ids: bytes | bytearray) -> NDArray[np.bool_]:
        """Add ids of 16 bytes each; tells for each whether it was not there before.

        Raises:
            Pi2PosthogError: the temporary file that older ones lie in cannot be read.
        """
        import numpy as np

        halves = np.frombuffer(bytes(ids), dtype=">u8").reshape(-1, 2)
        high, low = halves[:, 0].astype(np.uint64), halves[:, 1].astype(np.uint64)
        order = np.argsort(high)
        if (np.diff(high[order]) == 0).any():
            order = np.lexsort((low, high))  # which leaves the first of the same ids first
        high, low = high[order], low[order]
        is_first = np.ones(len(high), dtype=bool)
        is_first[1:] = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
        is_new = is_first.copy()
        for run in self._runs:
            is_new &= ~_in(run, high, low)
        starts = _starts(high)
        for laid_down in self._laid_down:
            self._drop_known(laid_down, starts, high, low, is_new)
        self._keep(high[is_new], low[is_new])
        result = np.empty(len(high), dtype=bool)
        result[order] = is_new
        return result

    def _drop_known(
        self,
        run: _LaidDown,
        starts: NDArray[np.uint32],
        high: NDArray[np.uint64],
        low: NDArray[np.uint64],
        is_new: NDArray[np.bool_],
    ) -> None:
        """Take note of which ids a run on disk has; hardly any that it has not is looked up there."""
        import numpy as np

        first = np.searchsorted(run.starts, starts)
        near = np.flatnonzero(is_new & (run.starts[np.minimum(first, len(run.starts) - 1)] == starts))
        if not len(near):
            return
        begin, end = first[near], np.searchsorted(run.starts, starts[near], side="right")
        # Each by itself where they are few, in one go where they are many, as in a fork.
        apart = end[-1] - begin[0] > _APART * len(near)
        edges = (begin, end) if apart else (begin[:1], end[-1:])
        parts = np.split(near, len(near)) if apart else [near]
        for part, from_, to in zip(parts, *(edge.tolist() for edge in edges), strict=True):
            there = np.frombuffer(self._spill.read(run.place + 16 * from_, run.place + 16 * to), ">u8")
            halves = there.astype(np.uint64).reshape(-1, 2).T
            is_new[part] = ~_in((halves[0], halves[1]), high[part], low[part])

    def _keep(self, high: NDArray[np.uint64], low: NDArray[np.uint64]) -> None:
        import numpy as np

        while self._runs and len(self._runs[-1][0]) < _RATIO * len(high):
            older = self._runs.pop()
            # One half after the other, so that what is merged is not there three times over.
            high = np.concatenate((older[0], high))
            order = np.argsort(high, kind="stable")  # which merges what is sorted in linear time
            low = np.concatenate((older[1], low))
            del older
            high = high[order]
            low = low[order]
        if len(high) < self._full:
            self._runs.append((high, low))
            return
        place = len(self._spill)
        self._spill.append(np.column_stack((high, low)).astype(">u8").tobytes())
        self._laid_down.append(_LaidDown(_starts(high), place))


def _starts(high: NDArray[np.uint64]) -> NDArray[np.uint32]:
    import numpy as np

    return (high >> np.uint64(32)).astype(np.uint32)


def _in(run: tuple[Any, Any], high: Any, low: Any) -> Any:
    """Which ids are in a sorted run."""
    import numpy as np

    run_high, run_low = run
    if not len(run_high):
        return np.zeros(len(high), dtype=bool)
    start = np.searchsorted(run_high, high)
    found = np.zeros(len(high), dtype=bool)
    for step in range(len(run_high)):  # nearly always once: first halves hardly ever agree
        at = np.minimum(start + step, len(run_high) - 1)
        same = (start + step < len(run_high)) & (run_high[at] == high)
        if not same.any():
            break
        found |= same & (run_low[at] == low)
    return found
