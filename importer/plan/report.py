"""What a plan amounts to, as plain values: the totals, and a row for each session, day, project or model."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from importer.build.facts import project_name
from importer.plan.plan import Plan
from importer.plan.rows import Row, Rows
from importer.quoting import encodable
from importer.selection import Selection
from importer.settings import Settings
from importer.totals import CONTEXTS, COUNTS, SUMS, totals
from parsers.times import to_rfc3339

if TYPE_CHECKING:
    import pandas as pd

_FIGURES = ("prompts", *COUNTS, *SUMS, "events")
_OF_MANY_MODELS = ["run", "trace", "identify"]


def make_report(plan: Plan, settings: Settings, by: str, selection: Selection) -> dict[str, Any]:
    """Make the figures of a plan, ready for JSON.

    Args:
        plan: what would be sent.
        settings: the input context decides on ``upload_bytes``, privacy mode on what is shown.
        by: what ``groups`` holds a row for: ``session``, ``day``, ``project`` or ``model``.
        selection: what was asked for; without a period, sessions without any event count, too.

    Returns:
        Counts, tokens, ``cost_usd`` (US dollars, as far as they are known), ``cost_by_basis`` (calls and
        dollars by where the cost comes from), ``unpriced`` (how many calls have no known cost, and their
        models), sizes in bytes of uncompressed JSON (estimated, see :mod:`importer.build.estimate`),
        ``numbers_only`` (events that are older than ``content_days`` and go without content), and ``groups``.
    """
    frame = plan.frame
    groups: Collection[Row]
    if by == "session":
        groups = _make_session_rows(plan, frame, settings, selection)
        sessions = len(groups)
    else:
        groups = _make_group_rows(frame, settings, by)
        sessions = (
            int(frame["file"][frame["file"] >= 0].nunique()) if selection.is_period else len(plan.files)
        )
    (total,) = _list_rows(totals(frame))
    return {
        "sessions": sessions,
        **_pick_figures(total, settings.input_context),
        **_cost_pick_figures(frame),
        "upload_bytes_by_input_context": {name: total[name] for name in CONTEXTS},
        "input_context": settings.input_context,
        "numbers_only": int(plan.numbers_only.sum()),
        "content_days": settings.content_days,
        "by": by,
        "groups": groups,
    }


def _cost_pick_figures(frame: pd.DataFrame) -> dict[str, Any]:
    """Say where the costs of the calls come from; calls without tokens are left out."""
    calls = frame[frame["cost_basis"] != ""]
    sums = _list_rows(totals(calls, "cost_basis"))
    by_basis = {row["cost_basis"]: {"calls": row["events"], "cost_usd": row["cost_usd"]} for row in sums}
    unknown = calls[calls["cost_basis"] == "unpriced"]
    models = sorted(totals(unknown, "model")["model"].tolist())
    return {"cost_by_basis": by_basis, "unpriced": {"calls": len(unknown), "models": models}}


def _make_group_rows(frame: pd.DataFrame, settings: Settings, by: str) -> list[Row]:
    """Make a row for each day, project or model, with how many sessions have a part in it."""
    own = frame[frame["file"] >= 0]
    if by == "model":  # a trace can hold many models
        own = own[~own["kind"].isin(_OF_MANY_MODELS)]
        own = own.assign(model=own["model"].astype("str").replace("", "(none)"))
    sessions = own.groupby(by, observed=True)["file"].nunique()
    rows = []
    for sums in _list_rows(totals(own, by)):
        figures = _pick_figures(sums, settings.input_context)
        rows.append(
            {by: sums[by], "sessions": int(sessions[sums[by]]), **figures, "state": _name_state(figures)}
        )
    return rows


def _make_session_rows(plan: Plan, frame: pd.DataFrame, settings: Settings, selection: Selection) -> Rows:
    """Make a row for each session in the order in which they began, when it is asked for.

    With a period, sessions without any event in it are left out.
    """
    sums = totals(frame, "file").set_index("file")
    calls = frame.loc[frame["kind"] == "generation", ["file", "model", "started_at", "ended_at"]]
    began = calls["started_at"].fillna(calls["ended_at"]).groupby(calls["file"]).min()
    header_ms = {place: each.file.timestamp_ms or 0 for place, each in enumerate(plan.files)}
    started_ms = header_ms | dict(zip(began.index.tolist(), began.astype("int64").tolist(), strict=True))
    models: dict[int, list[str]] = {}
    used = calls[["file", "model"]].drop_duplicates()
    for file, model in zip(used["file"].tolist(), used["model"].tolist(), strict=True):
        models.setdefault(file, []).append(model)
    shown = (
        [file for file in sums.index.tolist() if file >= 0] if selection.is_period else range(len(plan.files))
    )
    order = sorted(shown, key=lambda file: (started_ms[file], encodable(plan.files[file].file.path)))
    private = settings.privacy_mode

    def make_rows(files: Sequence[int]) -> Iterator[Row]:
        figures = _list_rows(sums.reindex(list(files)).fillna(0).astype(sums.dtypes))
        for file, own in zip(files, figures, strict=True):
            planned, ms = plan.files[file], started_ms[file]
            row = {
                "session": planned.file.session_id,
                "name": None if private else planned.name,
                "first_prompt": None if private else planned.first_prompt,
                "subagent": planned.subagent,
                "project": project_name(planned.file.cwd, settings),
                "started": to_rfc3339(ms) if ms else None,
                "models": models.get(file, []),
                "path": encodable(planned.file.path),
                **_pick_figures(own, settings.input_context),
            }
            yield {**row, "state": _name_state(row)}

    return Rows(order, make_rows)


def _list_rows(sums: pd.DataFrame) -> Iterator[Row]:
    """Yield the rows of a frame as Python values."""
    names = sums.columns.tolist()
    columns = [sums[name].tolist() for name in names]
    return (dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True))


def _pick_figures(sums: Mapping[str, Any], context: str) -> Row:
    """Pick what a row says of sums; ``upload_bytes`` are those of an input context."""
    own = {name: sums[name] for name in (*_FIGURES, "unpriced_calls")}
    return {**own, "already_delivered": sums["delivered"], "upload_bytes": sums[context]}


def _name_state(row: Mapping[str, Any]) -> str:
    """Name how far the events of a row are delivered."""
    events, done = row["events"], row["already_delivered"]
    if not events:
        return "empty"
    return "delivered" if done == events else "partly" if done else "new"
