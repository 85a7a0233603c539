"""The totals of all traces of a plan, kept until its files are sent."""

from __future__ import annotations

import json
from collections.abc import Mapping

from importer.plan.spill import Spill
from importer.totals import TraceTotals


class KeptTotals:
    """The totals of traces, file by file; takes next to no memory."""

    def __init__(self) -> None:
        self._spill = Spill()
        self._places: dict[int, tuple[int, int]] = {}

    def add(self, file: int, totals: Mapping[str, TraceTotals]) -> None:
        """Keep the totals of all traces of a file, by their ids; to be called once for a file."""
        first = len(self._spill)
        # JSON: sums of tokens may be beyond what 64 bits hold, and costs must come back to their last bit.
        self._spill.append(json.dumps(totals).encode())
        self._places[file] = first, len(self._spill)

    def of_file(self, file: int) -> dict[str, TraceTotals]:
        """The totals of the traces of a file, by their ids.

        Raises:
            Pi2PosthogError: the temporary file that they lie in cannot be read.
        """
        place = self._places.get(file)
        if place is None:
            return {}
        kept: dict[str, list[float]] = json.loads(self._spill.read(*place))
        return {trace_id: TraceTotals(*sums) for trace_id, sums in kept.items()}  # type: ignore[arg-type]
