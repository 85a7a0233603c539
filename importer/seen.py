"""Which ids were seen before, sixteen bytes each: a set of text would take ten times that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_RATIO = 2  # a run of ids is merged with a newer one that is not this much smaller


class SeenIds:
    """Ids as sorted runs of two integers each; a newer run is merged with an older one of its size."""

    def __init__(self) -> None:
        self._runs: list[tuple[NDArray[np.uint64], NDArray[np.uint64]]] = []

    def add(self, ids: bytes | bytearray) -> NDArray[np.bool_]:
        """Add ids of 16 bytes each; tells for each whether it was not there before."""
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
        self._keep(high[is_new], low[is_new])
        result = np.empty(len(high), dtype=bool)
        result[order] = is_new
        return result

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
        self._runs.append((high, low))


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
