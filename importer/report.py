"""What a plan amounts to, as plain values: the totals, and a row for each session, day, project or model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from importer.event import CONTEXTS
from importer.plan import Plan
from importer.quoting import encodable
from importer.selection import Selection
from importer.settings import Settings
from importer.totals import SUMS
from parsers.times import to_rfc3339

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from importer.grouping import Arrays

_COUNTS = {"generations": "generation", "spans": "span", "traces": "trace"}
_OF_MANY_MODELS = ("trace", "identify")
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
    keyed = _keyed(plan, by)
    figures, added = keyed.figures, keyed.added
    files = sorted(set(figures["file"].tolist()) - {-1})
    shown = files if selection.is_period else list(range(len(plan.files)))
    keys: list[Any] = shown if by == "session" else sorted(added)
    abouts = _about_sessions(plan, settings, figures, shown) if by == "session" else keyed.abouts(by)
    empty = {**dict.fromkeys(_ADDED, 0), "cost_usd": 0.0}
    groups = []
    for key in keys:
        own = added.get(key, empty)
        groups.append({**abouts[key], **_figures(own, settings.input_context), "state": _state(own)})
    if by == "session":
        groups.sort(key=lambda row: (row["started"] or "", row["path"]))
    total = {name: _total(figures[name]) for name in _ADDED}
    return {
        "sessions": len(shown),
        **_figures(total, settings.input_context),
        "upload_bytes_by_input_context": {name: total[name] for name in CONTEXTS},
        "input_context": settings.input_context,
        "by": by,
        "groups": groups,
    }


class _Keyed(NamedTuple):
    """Figures with what is delivered, the group of each row or None, and the sums of each group."""

    figures: Arrays
    keys: list[Any]
    added: dict[Any, dict[str, Any]]

    def abouts(self, by: str) -> dict[Any, dict[str, Any]]:
        """How many sessions have a part in each group."""
        files: dict[Any, set[int]] = {key: set() for key in self.added}
        for key, file in zip(self.keys, self.figures["file"].tolist(), strict=True):
            if key is not None:
                files[key].add(file)
        return {key: {by: key, "sessions": len(found)} for key, found in files.items()}


def _keyed(plan: Plan, by: str) -> _Keyed:
    import numpy as np

    from importer.grouping import Groups

    delivered = plan.delivered_counts()
    counts = {
        name: np.where(plan.figures["kind"] == kind, plan.figures["events"], 0)
        for name, kind in _COUNTS.items()
    }
    figures = {**plan.figures, "already_delivered": delivered, **counts}
    files, kinds = figures["file"].tolist(), figures["kind"].tolist()
    match by:
        case "session":
            keys = files
        case "day":
            keys = figures["day"].tolist()
        case "project":
            projects = [planned.facts.project for planned in plan.files]
            keys = [projects[file] if file >= 0 else "" for file in files]
        case _:  # a trace can hold many models
            models = zip(figures["model"].tolist(), kinds, strict=True)
            keys = [None if kind in _OF_MANY_MODELS else model or "(none)" for model, kind in models]
    keys = [None if file < 0 else key for key, file in zip(keys, files, strict=True)]
    codes = {key: code for code, key in enumerate(dict.fromkeys(keys))}
    groups = Groups(np.array([codes[key] for key in keys], dtype=np.int64))
    names = list(codes)
    sums = {name: values.tolist() for name, values in groups.sums(figures, _ADDED).items()}
    added = {
        names[code]: {name: values[place] for name, values in sums.items()}
        for place, code in enumerate(groups.keys.tolist())
    }
    added.pop(None, None)
    return _Keyed(figures, keys, added)


def _total(values: NDArray[Any]) -> float:
    return float(values.sum()) if values.dtype.kind == "f" else int(values.sum())


def _figures(own: dict[Any, Any], context: str) -> dict[str, Any]:
    return {
        "prompts": own["prompts"],
        **{name: own[name] for name in (*_COUNTS, *SUMS)},
        "events": own["events"],
        "already_delivered": own["already_delivered"],
        "upload_bytes": own[context],
    }


def _about_sessions(
    plan: Plan, settings: Settings, figures: Arrays, shown: list[int]
) -> dict[Any, dict[str, Any]]:
    started: dict[int, int] = {}
    models: dict[int, dict[str, None]] = {}
    names = ("file", "kind", "model", "started_ms")
    for file, kind, model, ms in zip(*(figures[name].tolist() for name in names), strict=True):
        if kind == "generation":
            models.setdefault(file, {})[model] = None
            started[file] = min(ms, started.get(file, ms))
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
