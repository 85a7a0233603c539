"""The events of a plan in their order: the id of each, and its row among the figures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np

from importer.plan.spill import Spill

if TYPE_CHECKING:
    from numpy.typing import NDArray

_RECORD = np.dtype([("id", "V16"), ("row", "<u4")])
_PART = 20_000


class EventIndex:
    """Grows at its end; takes next to no memory (see :class:`importer.plan.spill.Spill`)."""

    def __init__(self) -> None:
        self._spill = Spill()

    def __len__(self) -> int:
        return len(self._spill) // _RECORD.itemsize

    def append(self, ids: NDArray[np.void], rows: NDArray[np.integer[Any]]) -> None:
        """Add events: the 16 bytes of the uuid of each, and its row."""
        records = np.empty(len(ids), _RECORD)
        records["id"], records["row"] = ids, rows
        self._spill.append(records.tobytes())

    def read(self, first: int = 0, last: int | None = None) -> NDArray[np.void]:
        """The events from one place up to another: fields ``id`` and ``row``.

        Raises:
            Pi2PosthogError: the temporary file that they lie in cannot be read.
        """
        size = _RECORD.itemsize
        end = len(self) if last is None else last
        return np.frombuffer(self._spill.read(size * first, size * end), _RECORD)

    def parts(self) -> Iterator[tuple[slice, NDArray[np.void]]]:
        """All events, some at a time: their places, and what :meth:`read` gives of them."""
        for first in range(0, len(self), _PART):
            events = self.read(first, first + _PART)
            yield slice(first, first + len(events)), events


def uuids(events: NDArray[np.void]) -> list[str]:
    """The uuids of some events as text."""
    return [str(UUID(bytes=each)) for each in events["id"].tolist()]
