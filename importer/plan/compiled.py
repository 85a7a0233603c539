"""The compiled parts of counting, where they were built; what they tell is the same, to the byte."""

from __future__ import annotations

import os
from functools import cache

from importer.build.estimate import Estimator
from importer.plan.column_writer import ColumnWriter
from parsers.counting.figures import Figures
from parsers.counting.rows import CountedFiles

PURE = "PI2POSTHOG_PURE"
"""The variable that has everything done in Python, for tests and reports of bugs."""


def use_compiled() -> bool:
    """Whether compiled parts are to be used where there are some."""
    return os.environ.get(PURE, "") in ("", "0")


def column_writer(
    counted: CountedFiles, models: dict[str, int], estimator: Estimator, *, compiled: bool = True
) -> Figures:
    """What writes the figures of one session to columns, by compiled code where that is there and wanted.

    For the other arguments see :class:`importer.plan.column_writer.ColumnWriter`.
    """
    kind = (_compiled_writer() if compiled else None) or ColumnWriter
    return kind(counted, models, estimator)


@cache  # an import that fails is tried again each time, which takes longer than to count a small file
def _compiled_writer() -> type[ColumnWriter] | None:
    try:
        from importer.plan.compiled_writer import CompiledWriter
    except ImportError:  # there was no C compiler when this was installed
        return None
    return CompiledWriter
