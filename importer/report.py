"""What a plan amounts to, as plain values: the totals, and a row for each session, day, project or model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from importer.event import CONTEXTS
from importer.plan import Plan
from importer.quoting import encodable
from importer.selection import Selection
from importer.settings import Settings
from importer.totals import SUMS
from parsers.times import to_rfc3339

if TYPE_CHECKING:
    import pandas as pd

_COUNTS = {"generations": "generation", "spans": "span", "traces": "trace"}
_ADDED = ("events", "already_delivered", *CONTEXTS, "prompts", *_COUNTS, *SUMS)


def report(plan: Plan, settings: Settings, by: str, selection: Selection) -> dict[str, Any]:
    """The figures of a plan, ready for JSON.

    Args:
        plan: what would be sent.
        settings: the input context decides on ``upload_bytes``.
        by: what ``groups`` holds a row for.
        selection: what was asked for; without a period, sessions without any event count, too.

    Returns:
        Counts, tokens, ``cost_usd`` in dollars, sizes in bytes of uncompressed JSON (estimated, see
        :mod:`importer.estimate`), and ``groups``.
    """
    rows = _keyed(plan, by)
    total = rows[list(_ADDED)].sum()
    sums = rows.groupby("key", sort=False)[list(_ADDED)].sum()
    shown = sorted(set(rows["file"].tolist()) - {-1}) if selection.is_period else list(range(len(plan.files)))
    keys: list[Any] = shown if by == "session" else sorted(key for key in sums.index if key is not None)
    abouts = _about_sessions(plan, settings, rows, shown) if by == "session" else _about_others(rows, by)
    empty = dict.fromkeys(_ADDED, 0)
    added = sums.to_dict("index")
    groups = []
    for key in keys:
        own = added.get(key, empty)
        groups.append({**abouts[key], **_figures(own, settings.input_context), "state": _state(own)})
    if by == "session":
        groups.sort(key=lambda row: (row["started"] or "", row["path"]))
    return {
        "sessions": len(shown),
        **_figures(total.to_dict(), settings.input_context),
        "upload_bytes_by_input_context": {name: int(total[name]) for name in CONTEXTS},
        "input_context": settings.input_context,
        "by": by,
        "groups": groups,
    }


def _keyed(plan: Plan, by: str) -> pd.DataFrame:
    """The frame of figures with what is delivered, and the key of each row's group; None for no group."""
    import numpy as np

    rows = plan.rows.copy()
    rows["already_delivered"] = np.bincount(plan.row_of[plan.delivered], minlength=len(rows))
    for name, kind in _COUNTS.items():
        rows[name] = rows["events"].where(rows["kind"] == kind, 0)
    match by:
        case "session":
            rows["key"] = rows["file"]
        case "day":
            rows["key"] = rows["day"]
        case "project":
            projects = [planned.facts.project for planned in plan.files]
            rows["key"] = [projects[file] if file >= 0 else "" for file in rows["file"]]
        case _:
            rows["key"] = rows["model"].where(rows["model"] != "", "(none)")
            # a trace can hold many models
            rows.loc[rows["kind"].isin(["trace", "identify"]), "key"] = None
    rows["key"] = rows["key"].astype(object)
    rows.loc[rows["file"] < 0, "key"] = None
    return rows


def _figures(own: dict[Any, Any], context: str) -> dict[str, Any]:
    return {
        "prompts": int(own["prompts"]),
        **{name: int(own[name]) for name in _COUNTS},
        **{name: float(own[name]) if name == "cost_usd" else int(own[name]) for name in SUMS},
        "events": int(own["events"]),
        "already_delivered": int(own["already_delivered"]),
        "upload_bytes": int(own[context]),
    }


def _about_others(rows: pd.DataFrame, by: str) -> dict[Any, dict[str, Any]]:
    sessions = rows.groupby("key", sort=False)["file"].nunique()
    return {key: {by: key, "sessions": int(count)} for key, count in sessions.items()}


def _about_sessions(
    plan: Plan, settings: Settings, rows: pd.DataFrame, shown: list[int]
) -> dict[Any, dict[str, Any]]:
    calls = rows[rows["kind"] == "generation"]
    started = calls.groupby("file", sort=False)["started_ms"].min().to_dict()
    models: dict[Any, dict[str, None]] = {}
    for file, model in zip(calls["file"].tolist(), calls["model"].tolist(), strict=True):
        models.setdefault(file, {})[model] = None
    abouts = {}
    for index in shown:
        planned = plan.files[index]
        start_ms = started.get(index, planned.file.timestamp_ms)
        abouts[index] = {
            "session": planned.facts.session_id,
            "name": None if settings.privacy_mode else planned.name,
            "first_prompt": None if settings.privacy_mode else planned.first_prompt,
            "subagent": planned.subagent,
            "project": planned.facts.project,
            "started": to_rfc3339(int(start_ms)) if start_ms else None,
            "models": list(models.get(index, ())),
            "path": encodable(planned.file.path),
        }
    return abouts


def _state(own: dict[Any, Any]) -> str:
    if not own["events"]:
        return "empty"
    done = own["already_delivered"]
    return "delivered" if done == own["events"] else "partly" if done else "new"
