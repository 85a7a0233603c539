"""Figures to columns, those of plain lines by compiled code."""

from __future__ import annotations

from importer.build.estimate import Estimator
from importer.plan._rows import Rows
from importer.plan.column_writer import ColumnWriter
from parsers.counting.rows import CountedFiles


class CompiledWriter(Rows, ColumnWriter):
    """Writes the figures of one session; its arguments are those of a :class:`ColumnWriter`."""

    def __init__(self, counted: CountedFiles, models: dict[str, int], estimator: Estimator) -> None:
        ColumnWriter.__init__(self, counted, models, estimator)
        Rows.__init__(self, counted.rows, models, self._model_of, estimator)
