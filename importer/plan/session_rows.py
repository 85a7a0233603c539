"""The rows of a report by session; importing this imports numpy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from importer.build.facts import project_name
from importer.plan.grouping import Groups
from importer.plan.plan import Plan
from importer.plan.row_figures import ADDED, figures_of, state
from importer.plan.rows import Row, Rows
from importer.quoting import encodable
from importer.selection import Selection
from importer.settings import Settings
from parsers.times import to_rfc3339

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from importer.plan.grouping import Arrays

_NEVER_MS = 2**63 - 1


def session_rows(plan: Plan, settings: Settings, selection: Selection, columns: Arrays) -> Rows:
    """A row for each session, in the order in which they began; their keys are the files' places in the plan.

    Args:
        plan: what would be sent.
        settings: they say what may be shown.
        selection: with a period, sessions without any event in it are left out.
        columns: as :func:`importer.plan.row_figures.counted` gives them.
    """
    sessions = _Sessions(plan, settings, columns)
    shown = np.flatnonzero(sessions.have_events).tolist() if selection.is_period else range(len(plan.files))
    started_ms = sessions.started_ms.tolist()
    order = sorted(shown, key=lambda index: (started_ms[index], encodable(plan.files[index].file.path)))
    return Rows(order, sessions.rows)


class _Sessions:
    """The figures of sessions as columns, a place for each file of a plan.

    Attributes:
        have_events: which of them have any.
        started_ms: when they began, in ms; 0 where nobody knows.
    """

    def __init__(self, plan: Plan, settings: Settings, columns: Arrays) -> None:
        self._plan = plan
        self._settings = settings
        of_files = columns["file"] >= 0
        groups = Groups(columns["file"][of_files])
        sums = groups.sums({name: columns[name][of_files] for name in ADDED}, ADDED)
        self._figures = {name: _by_file(len(plan.files), groups, added, 0) for name, added in sums.items()}
        self.have_events: NDArray[np.bool_] = self._figures["events"] > 0
        is_call = columns["kind"] == "generation"
        calls = Groups(columns["file"][is_call])
        first_ms = _by_file(len(plan.files), calls, calls.least(columns["started_ms"][is_call]), _NEVER_MS)
        header_ms = np.array([planned.file.timestamp_ms or 0 for planned in plan.files], dtype=np.int64)
        self.started_ms: NDArray[np.int64] = np.where(first_ms == _NEVER_MS, header_ms, first_ms)
        # A file's rows stand together.
        self._call_files, self._call_models = columns["file"][is_call], columns["model"][is_call]

    def rows(self, files: Sequence[int]) -> Iterator[Row]:
        """The rows of some files."""
        context, private = self._settings.input_context, self._settings.privacy_mode
        names = figures_of(context)
        figures = zip(*(self._figures[column][files].tolist() for column in names.values()), strict=True)
        edges = [np.searchsorted(self._call_files, files, side=side).tolist() for side in ("left", "right")]
        started = self.started_ms[files].tolist()
        for index, ms, first, last, added in zip(files, started, *edges, figures, strict=True):
            planned = self._plan.files[index]
            row = {
                "session": planned.file.session_id,
                "name": None if private else planned.name,
                "first_prompt": None if private else planned.first_prompt,
                "subagent": planned.subagent,
                "project": project_name(planned.file.cwd, self._settings),
                "started": to_rfc3339(ms) if ms else None,
                "models": list(dict.fromkeys(self._call_models[first:last].tolist())),
                "path": encodable(planned.file.path),
                **dict(zip(names, added, strict=True)),
            }
            row["state"] = state(row)
            yield row


def _by_file(files: int, groups: Groups, values: NDArray[Any], otherwise: int) -> NDArray[Any]:
    """Values of groups of rows of the same file, at the place of the file."""
    found = np.full(files, otherwise, dtype=values.dtype)
    found[groups.keys] = values
    return found
