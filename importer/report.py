"""What a plan amounts to, as plain values: the totals, and a row for each session, day, project or model."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

from importer.event import CONTEXTS
from importer.plan import EventRow, Plan, Selection
from importer.quoting import encodable
from importer.settings import Settings
from importer.totals import SUMS
from parsers.times import to_rfc3339

if TYPE_CHECKING:
    import pandas as pd

Grouping = Literal["session", "day", "project", "model"]
GROUPINGS: tuple[str, ...] = get_args(Grouping)
_COUNTS = {"generations": "generation", "spans": "span", "traces": "trace"}


def report(
    plan: Plan, settings: Settings, by: str, selection: Selection, delivered: AbstractSet[str] = frozenset()
) -> dict[str, Any]:
    """The figures of a plan, ready for JSON.

    Args:
        plan: what would be sent.
        settings: the input context decides on ``upload_bytes``.
        by: what ``groups`` holds a row for.
        selection: what was asked for; without a period, sessions without any event count, too.
        delivered: the uuids that PostHog has already.

    Returns:
        Counts, tokens, ``cost_usd`` in dollars, sizes in bytes of uncompressed JSON, and ``groups``.
    """
    generations, events = _keyed(plan, by, delivered)
    used = set(events["file"]) - {-1}
    shown = sorted(used) if selection.is_period else range(len(plan.files))
    result = {
        "sessions": len(shown),
        **_figures(generations, events, settings.input_context),
        "upload_bytes_by_input_context": {name: int(events[name].sum()) for name in CONTEXTS},
        "input_context": settings.input_context,
        "by": by,
    }
    groups: dict[Any, pd.DataFrame] = dict(iter(events[events["file"] >= 0].groupby("key")))
    calls: dict[Any, pd.DataFrame] = dict(iter(generations.groupby("key")))
    keys = list(shown) if by == "session" else sorted(set(groups) | set(calls))
    result["groups"] = [
        {
            **_about(plan, settings, by, key, groups.get(key, events[:0]), calls.get(key, generations[:0])),
            **_figures(calls.get(key, generations[:0]), groups.get(key, events[:0]), settings.input_context),
            "state": _state(groups.get(key, events[:0])),
        }
        for key in keys
    ]
    if by == "session":
        result["groups"].sort(key=lambda row: (row["started"] or "", row["path"]))
    return result


def _keyed(plan: Plan, by: str, delivered: AbstractSet[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The frames of generations and events, each with the key of its group."""
    import pandas as pd

    events = pd.DataFrame(plan.events, columns=list(EventRow._fields))
    events["delivered"] = events["uuid"].isin(delivered)
    generations = plan.generations
    projects = [planned.facts.project for planned in plan.files]

    def key(frame: pd.DataFrame) -> pd.Series[Any]:
        match by:
            case "session":
                return frame["file"]
            case "day":
                return frame["end_ms"].map(local_day)
            case "project":
                return frame["file"].map(lambda file: projects[file] if file >= 0 else "")
            case _:
                return frame["model"].where(frame["model"] != "", "(none)")

    events = events.assign(key=key(events))
    if by == "model":
        events.loc[events["kind"].isin(["trace", "identify"]), "file"] = -1  # a trace can hold many models
    return generations.assign(key=key(generations)), events


def _figures(generations: pd.DataFrame, events: pd.DataFrame, context: str) -> dict[str, Any]:
    kinds = events["kind"].value_counts()
    sums = generations[list(SUMS)].sum()
    return {
        "prompts": int(generations["prompted"].sum()),
        **{name: int(kinds.get(kind, 0)) for name, kind in _COUNTS.items()},
        **{name: float(sums[name]) if name == "cost_usd" else int(sums[name]) for name in SUMS},
        "events": len(events),
        "already_delivered": int(events["delivered"].sum()),
        "upload_bytes": int(events[context].sum()),
    }


def _about(
    plan: Plan, settings: Settings, by: str, key: Any, events: pd.DataFrame, calls: pd.DataFrame
) -> dict[str, Any]:
    if by != "session":
        return {by: key, "sessions": len(set(events["file"]) | set(calls["file"]))}
    planned = plan.files[key]
    started = int(calls["start_ms"].min()) if len(calls) else planned.file.timestamp_ms
    return {
        "session": planned.facts.session_id,
        "name": None if settings.privacy_mode else planned.name,
        "first_prompt": None if settings.privacy_mode else planned.first_prompt,
        "subagent": planned.subagent,
        "project": planned.facts.project,
        "started": to_rfc3339(started) if started else None,
        "models": list(dict.fromkeys(calls["model"])),
        "path": encodable(planned.file.path),
    }


def _state(events: pd.DataFrame) -> str:
    if not len(events):
        return "empty"
    done = int(events["delivered"].sum())
    return "delivered" if done == len(events) else "partly" if done else "new"


def local_day(ms: int) -> str:
    """The local date of a moment in ms, as ``2026-11-23``."""
    return datetime.fromtimestamp(ms / 1000).astimezone().date().isoformat()
