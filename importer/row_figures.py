"""What every row of a report says, whatever it is a row of, and its totals, too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from importer.event import CONTEXTS
from importer.rows import Row
from importer.totals import SUMS

if TYPE_CHECKING:
    from importer.grouping import Arrays
    from importer.plan import Plan

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
    return {
        "prompts": own["prompts"],
        **{name: own[name] for name in (*_COUNTS, *SUMS)},
        "events": own["events"],
        "already_delivered": own["already_delivered"],
        "upload_bytes": own[context],
    }


def state(own: Mapping[str, Any]) -> str:
    """How far the events of a row are delivered."""
    if not own["events"]:
        return "empty"
    done = own["already_delivered"]
    return "delivered" if done == own["events"] else "partly" if done else "new"
