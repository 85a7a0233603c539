"""Figures to columns, those of plain lines by compiled code."""

from __future__ import annotations

from importer.build.estimate import Estimator
from importer.plan._rows import Rows
from importer.plan.column_writer import ColumnWriter
from importer.plan.columns import Columns


class CompiledWriter(Rows, ColumnWriter):
    """Writes the figures of one session; its arguments are those of a :class:`ColumnWriter`."""

    def __init__(self, columns: Columns, models: dict[str, int], estimator: Estimator) -> None:
        ColumnWriter.__init__(self, columns, models, estimator)
        Rows.__init__(self, columns.events, columns.calls, models, self._model_of, estimator)
