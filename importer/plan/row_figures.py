"""What every row of a report says, whatever it is a row of, and its totals, too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from importer.build.event import CONTEXTS
from importer.plan.rows import Row
from importer.totals import SUMS

if TYPE_CHECKING:
    from importer.plan.grouping import Arrays
    from importer.plan.plan import Plan

_COUNTS = {"generations": "generation", "spans": "span", "traces": "trace"}
ADDED = ("events", "already_delivered", *CONTEXTS, "prompts", *_COUNTS, *SUMS)
"""The figures that are added up."""


def counted(plan: Plan) -> Arrays:
    """The figures of a plan as columns, with how many events of each kind there are and are delivered."""
    import numpy as np

    kinds, events = plan.figures["kind"], plan.figures["events"]
    counts = {name: np.where(kinds == kind, events, 0) for name, kind in _COUNTS.items()}
    return {**plan.figures, "already_delivered": plan.delivered_counts(), **counts}


def figures_row(own: Mapping[str, Any], context: str) -> Row:
    """What a row says of figures that were added up; ``upload_bytes`` are those of an input context."""
    return {name: own[column] for name, column in figures_of(context).items()}


def figures_of(context: str) -> dict[str, str]:
    """The figures of a row in their order, and the column of each."""
    names = ("prompts", *_COUNTS, *SUMS, "events", "already_delivered")
    return {**{name: name for name in names}, "upload_bytes": context}


def state(row: Mapping[str, Any]) -> str:
    """How far the events of a row are delivered."""
    events, done = row["events"], row["already_delivered"]
    if not events:
        return "empty"
    return "delivered" if done == events else "partly" if done else "new"
