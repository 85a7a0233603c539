"""Model calls and tool calls as frames, for questions that a table of totals does not answer.

They hold what the totals leave out: latency, stop reason, provider, errors. Copies that forks hold are there
once, in the file that comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from importer.build.cost import CostRules
from importer.build.facts import STOP_REASONS, SessionFacts, find_facts, name_agent
from importer.sessions.forks import parents_first
from importer.sessions.reading import new_count, records_of
from importer.sessions.session_file import SessionFile
from importer.settings import Settings
from parsers.counting.rows import NO_TIME
from parsers.records import AnyRecord, Generation, Span

if TYPE_CHECKING:
    import pandas as pd

_Row = tuple[Any, ...]

_SHARED = {
    "id": "str",
    "trace_id": "str",
    "session": "str",
    "project": "str",
    "agent": "str",
    "started_at": "time",
    "ended_at": "time",
    "latency_s": "float64",
    "is_error": "bool",
}
GENERATION_COLUMNS = _SHARED | {
    "name": "str",
    "model": "str",
    "provider": "str",
    "input_tokens": "int64",
    "output_tokens": "int64",
    "cache_read_tokens": "int64",
    "cache_write_tokens": "int64",
    "total_tokens": "int64",
    "cost_usd": "float64",
    "cost_basis": "str",
    "stop_reason": "str",
}
SPAN_COLUMNS = _SHARED | {"name": "str", "parent_id": "str"}


def collect_generations(files: Sequence[SessionFile], settings: Settings, now_ms: int) -> pd.DataFrame:
    """Make a frame with a row a model call: the columns are :data:`GENERATION_COLUMNS`.

    Args:
        files: the sessions.
        settings: they decide on projects, agents and traces, and on costs that pi did not know.
        now_ms: the time now, in ms since the epoch.

    Raises:
        OSError: a file cannot be read.
    """
    rules = CostRules(settings)

    def make_row(call: Generation) -> _Row:
        usage, cost = call.usage, rules.price_call(call)
        stop_reason = STOP_REASONS.get(call.stop_reason or "", call.stop_reason)
        numbers = (*usage[:4], usage.total_tokens, cost.usd)
        return call.name, call.model, call.provider, *numbers, cost.basis, stop_reason

    return _collect(files, settings, now_ms, Generation, make_row, GENERATION_COLUMNS)


def collect_spans(files: Sequence[SessionFile], settings: Settings, now_ms: int) -> pd.DataFrame:
    """Make a frame with a row a tool call: the columns are :data:`SPAN_COLUMNS`; else as the other one."""
    return _collect(files, settings, now_ms, Span, _span_row, SPAN_COLUMNS)


def _span_row(span: Span) -> _Row:
    return span.name, span.parent_id


def _collect(
    files: Sequence[SessionFile],
    settings: Settings,
    now_ms: int,
    kind: type[Generation] | type[Span],
    make_row: Callable[[Any], _Row],
    dtypes: dict[str, str],
) -> pd.DataFrame:
    import pandas as pd

    rows: list[_Row] = []
    for file in parents_first(files):
        facts = find_facts(file, settings)
        records = (record for record in _read_records(file, settings, now_ms) if isinstance(record, kind))
        rows.extend(_shared_row(record, facts, settings) + make_row(record) for record in records)
    columns = list(zip(*rows, strict=True)) or [()] * len(dtypes)
    frame = pd.DataFrame(
        {
            name: pd.Series(column, dtype="int64").astype("datetime64[ms, UTC]")
            if dtype == "time"
            else pd.Series(column, dtype=dtype)
            for (name, dtype), column in zip(dtypes.items(), columns, strict=True)
        }
    )
    return frame[~frame["id"].duplicated()].reset_index(drop=True)


def _read_records(file: SessionFile, settings: Settings, now_ms: int) -> Iterator[AnyRecord]:
    session = new_count(settings, file.agent)
    for records in records_of(file, session, now_ms):
        yield from records


def _shared_row(record: Generation | Span, facts: SessionFacts, settings: Settings) -> _Row:
    failed = record.is_error if isinstance(record, Span) else record.stop_reason == "error"
    started_ms = NO_TIME if record.start_ms is None else record.start_ms
    owner = (facts.parent_id if record.copied else None) or facts.session_id
    return (
        record.id,
        record.trace_id,
        owner,
        facts.project,
        name_agent(settings, facts, record.agent),
        started_ms,
        record.end_ms,
        record.latency_s,
        failed,
    )
