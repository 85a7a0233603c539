"""Events of a session file, built in this process as an import builds them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from importer.build.cost import CostRules
from importer.build.event import Event
from importer.build.events import EventBuilder
from importer.build.facts import find_facts
from importer.plan.frame import format_ids
from importer.plan.plan import Plan
from importer.sessions.reading import new_session, records_of
from importer.sessions.session_file import SessionFile, read_session_file
from importer.settings import Settings
from importer.totals import SUMS, TraceTotals, totals, trace_totals
from parsers.agents import AGENTS, SessionParser
from parsers.records import AnyRecord, Generation

NOW_MS = 1_830_000_000_000  # long after every session of the tests: all runs have ended


def read_records(file: SessionFile, settings: Settings, now_ms: int) -> tuple[SessionParser, list[AnyRecord]]:
    """The session in a file, and all its records; raises as :func:`importer.sessions.reading.records_of`."""
    session = new_session(settings, file.agent)
    return session, [record for some in records_of(file, session, now_ms) for record in some]


class PlannedEvent(NamedTuple):
    """One event of a plan; ``file`` is its file's place, -1 for none."""

    uuid: str
    file: int
    kind: str
    model: str


def events_of(plan: Plan) -> list[PlannedEvent]:
    """The events of a plan one by one."""
    columns = (plan.frame[name].tolist() for name in ("file", "kind", "model"))
    return [PlannedEvent(*each) for each in zip(format_ids(plan.frame), *columns, strict=True)]


def totals_of(plan: Plan) -> dict[tuple[int, str], TraceTotals]:
    """The totals of a plan's traces, by file and trace id."""
    kept = {index: plan.find_totals(index) for index in range(len(plan.files))}
    return {(index, trace): totals for index, own in kept.items() for trace, totals in own.items()}


def sum_costs(records: Iterable[AnyRecord], settings: Settings) -> dict[str, TraceTotals]:
    """The totals of the traces of some records, by trace id."""
    calls = [record for record in records if isinstance(record, Generation)]
    if not calls:
        return {}
    rules = CostRules(settings)
    rows = [(call.trace_id, *call.usage[:4], rules.price_call(call).usd) for call in calls]
    frame = pd.DataFrame(rows)
    sums = totals(frame.set_axis(["trace_id", *SUMS], axis=1), by="trace_id")
    return dict(zip(sums["trace_id"], trace_totals(sums), strict=True))


def built(path: Path, *, origin: str = "pi", **settings: Any) -> list[Event]:
    """The events of an agent's file, under settings that differ from the defaults in what is given.

    They keep their content, unless `content_days` says that they are too old for it.
    """
    chosen = Settings(**{"content_days": None} | settings)
    file = read_session_file(path, AGENTS[origin])
    assert isinstance(file, SessionFile), file
    _, records = read_records(file, chosen, NOW_MS)
    sums = sum_costs(records, chosen)
    builder = EventBuilder(chosen, find_facts(file, chosen), chosen.content_since_ms(NOW_MS))
    return [builder.build(record, sums.get(record.trace_id)) for record in records]


def events(path: Path, **settings: Any) -> list[dict[str, Any]]:
    """The same, as PostHog would read them."""
    return [json.loads(event.encode()) for event in built(path, **settings)]


def properties(path: Path, kind: str, **settings: Any) -> list[dict[str, Any]]:
    """The properties of a file's `generation`, `span`, `run` or `trace` events, by their time."""
    name = "$ai_span" if kind == "run" else f"$ai_{kind}"
    found = [event for event in events(path, **settings) if event["event"] == name]
    own = [event["properties"] for event in sorted(found, key=lambda event: event["timestamp"])]
    return [each for each in own if (each.get("$ai_span_type") == "agent") == (kind == "run")]
