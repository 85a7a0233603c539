"""What a plan amounts to, as plain values: the totals, and a row for each session, day, project or model."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from importer.build.event import CONTEXTS
from importer.build.facts import project_name
from importer.plan.plan import Plan
from importer.plan.row_figures import ADDED, counted, figures_row, state
from importer.plan.rows import Row
from importer.selection import Selection
from importer.settings import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from importer.plan.grouping import Arrays

_OF_MANY_MODELS = ("trace", "identify")


def report(plan: Plan, settings: Settings, by: str, selection: Selection) -> dict[str, Any]:
    """The figures of a plan, ready for JSON.

    Args:
        plan: what would be sent.
        settings: the input context decides on ``upload_bytes``.
        by: what ``groups`` holds a row for.
        selection: what was asked for; without a period, sessions without any event count, too.

    Returns:
        Counts, tokens, ``cost_usd`` in dollars, sizes in bytes of uncompressed JSON (estimated, see
        :mod:`importer.build.estimate`), and ``groups``.
    """
    columns = counted(plan)
    groups: Collection[Row]
    if by == "session":
        from importer.plan.session_rows import session_rows

        groups = session_rows(plan, settings, selection, columns)
        sessions = len(groups)
    else:
        groups = _grouped(plan, settings, by, columns)
        sessions = len(set(columns["file"].tolist()) - {-1}) if selection.is_period else len(plan.files)
    total = {name: _total(columns[name]) for name in ADDED}
    return {
        "sessions": sessions,
        **figures_row(total, settings.input_context),
        "upload_bytes_by_input_context": {name: total[name] for name in CONTEXTS},
        "input_context": settings.input_context,
        "by": by,
        "groups": groups,
    }


def _grouped(plan: Plan, settings: Settings, by: str, columns: Arrays) -> list[Row]:
    """A row for each day, project or model, with how many sessions have a part in it."""
    import numpy as np

    from importer.plan.grouping import Groups

    keys = _keys(plan, settings, by, columns)
    sessions: dict[Any, set[int]] = {key: set() for key in keys}
    for key, file in zip(keys, columns["file"].tolist(), strict=True):
        sessions[key].add(file)
    codes = {key: code for code, key in enumerate(sessions)}
    groups = Groups(np.array([codes[key] for key in keys], dtype=np.int64))
    sums = groups.sums(columns, ADDED)
    rows = []
    for key in sorted(sessions.keys() - {None}):
        own = {name: added.item(codes[key]) for name, added in sums.items()}
        figures = figures_row(own, settings.input_context)
        rows.append({by: key, "sessions": len(sessions[key]), **figures, "state": state(figures)})
    return rows


def _keys(plan: Plan, settings: Settings, by: str, columns: Arrays) -> list[Any]:
    """The group of each row; None where it is in none."""
    files, kinds = columns["file"].tolist(), columns["kind"].tolist()
    keys: list[Any]
    match by:
        case "day":
            keys = columns["day"].tolist()
        case "project":
            projects = [project_name(planned.file.cwd, settings) for planned in plan.files]
            keys = [projects[file] if file >= 0 else "" for file in files]
        case _:  # a trace can hold many models
            models = zip(columns["model"].tolist(), kinds, strict=True)
            keys = [None if kind in _OF_MANY_MODELS else model or "(none)" for model, kind in models]
    return [None if file < 0 else key for key, file in zip(keys, files, strict=True)]


def _total(values: NDArray[Any]) -> float:
    return float(values.sum()) if values.dtype.kind == "f" else int(values.sum())
