"""A session that is only counted tells the same as one that is read, in all that numbers depend on."""

import random
import re
from ast import literal_eval
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parsers.agents import AGENTS, Agent, SessionParser
from parsers.agents.pi import PI
from parsers.counting.lengths import text_size
from parsers.counting.row_writer import EventBases, RowWriter
from parsers.counting.rows import COST_BASES, KINDS, NO_TIME, ROW, SPAN, CountedFiles
from parsers.counting.session import CountingSession, PlainLines
from parsers.records import AnyRecord, Generation, Run, Span
from tests import bombs, fuzz
from tests.parsers.build import Transcript
from tests.parsers.encodings import ENCODINGS, entries_of, file_of, migrated
from tests.parsers.pi.test_bombs import lines_of
from tests.parsers.pi.test_fuzz import HEADER, SAMPLE_LINES, TOKENS, changed
from tests.parsers.pi.test_properties import FILES, GROUPINGS, LINES, TREES, examples, last_time
from tests.parsers.samples import FOLDER, SAMPLES
from tests.twins import PRICING, count_fed

FIXTURES = Path(__file__).parents[2] / "fixtures"
RECORDED = {
    path.relative_to(FIXTURES).as_posix(): path
    for path in sorted(FIXTURES.rglob("*"))
    if ".jsonl" in path.name
}
WINDOW_MS = 3_600_000
FOR_EVER_MS = 10**14
LONGEST = 1000
NOT_COUNTED = "context rewritten too often"  # where no message is kept, a rewrite costs nothing


COMPILED = pytest.mark.parametrize(
    "compiled",
    [
        pytest.param(False, id="pure"),
        pytest.param(
            True,
            id="compiled",
            marks=pytest.mark.skipif(PlainLines is None, reason="no C compiler was there"),
        ),
    ],
)


def numbers(record: AnyRecord) -> dict[str, Any]:
    """What numbers and tables depend on in a record."""
    said: dict[str, Any] = {"is": type(record).__name__}
    names = ["id", "trace_id", "window", "end_ms", "copied", "agent"]
    if isinstance(record, Span):
        names += ["name", "parent_id", "start_ms", "is_error"]
    elif isinstance(record, Generation):
        names += ["name", "model", "start_ms"]
        cost = PRICING.price_call(record)
        said["tokens"], said["cost_usd"], said["cost_basis"] = record.usage[:4], cost.usd, cost.basis
        said["prompted"] = record.user_prompt is not None
    else:
        names += ["name", "start_ms", "from_prompt", "input", "is_error", "error"]
        is_run = isinstance(record, Run)
        names += ["share_ms", "trace_start_ms", "trace_input"] if is_run else ["session_name"]
        text = record.output
        said["output"] = text_size(text) if isinstance(text, str) else text
    return said | {name: repr(getattr(record, name)) for name in names}


def told(session: SessionParser) -> dict[str, Any]:
    """Everything that is compared of a session besides its records."""
    return {
        "issues": {
            what: (issue.line, issue.count)
            for what, issue in session.issues.items()
            if not what.startswith(NOT_COUNTED)
        },
        "name": session.name,
        "first_prompt": session.first_prompt,
        "last_prompt": session.last_prompt,
        "prompts": session.prompts,
        "subagent": session.subagent,
        "has_copies": session.has_copies,
        "open_traces": session.open_traces(),
    }


def finishes(session: SessionParser, data: bytes) -> list[list[dict[str, Any]]]:
    """The records at the end: at once, after some pauses, and long after."""
    times = [int(ms) for ms in re.findall(rb'"timestamp": ?(1[0-9]{12})\b', data)]
    last = max(times, default=0)
    moments = (last, last + 25_000, last + 130_000, last + 2 * 3_600_000, last + 90_000_000, FOR_EVER_MS)
    return [[numbers(record) for record in session.finish(ms, last)] for ms in moments]


def lines_of_file(data: bytes) -> list[bytes]:
    """The lines of a file with their newlines; the last one may have none."""
    return [line for line in re.split(rb"(?<=\n)", data) if line]


def read(session: SessionParser, data: bytes) -> list[dict[str, Any]]:
    """What the records of a file say, read line by line."""
    records: list[AnyRecord] = []
    for line in lines_of_file(data):
        records += session.feed(line, torn=not line.endswith(b"\n"))
    return [numbers(record) for record in records]


def assert_counted_as_read(data: bytes, compiled: bool, agent: Agent = PI, grouping: Any = "message") -> int:
    """Check that a file counts as it reads; returns how many lines were not fed to the session."""
    assert agent.counter is not None
    whole = agent.parser(grouping, WINDOW_MS)
    expected = read(whole, data)
    fed = agent.counter(grouping, WINDOW_MS, LONGEST)
    assert read(fed, data) == expected
    assert told(fed) == told(whole)
    assert finishes(fed, data) == finishes(whole, data)
    taken = set()
    for blocks in ([data], lines_of_file(data)):
        counted = agent.counter(grouping, WINDOW_MS, LONGEST)
        assert isinstance(counted, CountingSession)
        rows, fed = rows_of(counted, blocks, compiled)
        assert len(rows) == len(expected)
        for row, other in zip(rows, expected, strict=True):
            assert row == in_row(other)
        assert told(counted) == told(whole)
        assert finishes(counted, data) == finishes(whole, data)
        taken.add(len(lines_of_file(data)) - fed)
    assert len(taken) == 1
    return taken.pop()


def rows_of(
    session: CountingSession, blocks: Sequence[bytes], compiled: bool
) -> tuple[list[dict[str, Any]], int]:
    """What the rows of a file say, and how many of its lines were fed to the session."""
    counted, models = CountedFiles(), {"": 0}
    bases, pricing = EventBases(900, 700, 800, 600, LONGEST), PRICING
    fed = count_fed(session, blocks, RowWriter(counted, models, bases, pricing), compiled=compiled)
    names, rows = list(models), []
    for row in ROW.iter_unpack(counted.rows):
        own, trace_id, start_ms, end_ms, *tokens, cost_usd, model, full, turn, new, bare = row[:14]
        kind, prompts, basis = row[14:]
        assert full >= turn > 0 < new <= full >= bare > 0
        said = {"is": KINDS[kind], "id": str(UUID(bytes=own)), "trace_id": str(UUID(bytes=trace_id))}
        if kind != SPAN:  # a span has the model of the generation that asked for it
            said["model"] = names[model]
        times = {"start_ms": None if start_ms == NO_TIME else start_ms, "end_ms": end_ms}
        rows.append(said | times | {"tokens": tuple(tokens), "cost_usd": cost_usd, "prompted": bool(prompts)})
        rows[-1]["cost_basis"] = COST_BASES[basis]
    return rows, fed


def in_row(said: dict[str, Any]) -> dict[str, Any]:
    """What a row says of a record whose numbers are these."""
    known = {name: literal_eval(said[name]) for name in ("id", "trace_id", "start_ms", "end_ms")}
    row = {"is": said["is"].lower(), **known, "tokens": said.get("tokens", (0, 0, 0, 0))}
    row |= {"cost_usd": said.get("cost_usd", 0.0), "prompted": said.get("prompted", False)}
    row["cost_basis"] = said.get("cost_basis", "")
    if row["is"] == "generation":
        row["model"] = literal_eval(said["model"]) or f"({literal_eval(said['name'])})"
    elif row["is"] in ("run", "trace"):
        row["model"] = ""
    return row


@COMPILED
@pytest.mark.parametrize("grouping", ["message", "session"])
@pytest.mark.parametrize("name", SAMPLES)
def test_a_recorded_session_counts_as_it_reads(compiled: bool, name: str, grouping: str) -> None:
    assert_counted_as_read(SAMPLES[name], compiled, PI, grouping)


def test_no_sample_is_left_out() -> None:
    assert len(SAMPLES) == len(list(FOLDER.rglob("*.jsonl"))) > 20
    assert len(RECORDED) > 40


@COMPILED
@pytest.mark.parametrize("grouping", ["message", "session"])
@pytest.mark.parametrize("agent", AGENTS.values(), ids=list(AGENTS))
@pytest.mark.parametrize("name", RECORDED)
def test_a_file_of_the_fixtures_counts_as_it_reads_by_every_agent(
    compiled: bool, name: str, agent: Agent, grouping: str
) -> None:
    data = RECORDED[name].read_bytes()
    assert_counted_as_read(data, compiled, agent, grouping)


@COMPILED
@examples(200)
@given(FILES, GROUPINGS)
def test_a_random_session_counts_as_it_reads(compiled: bool, data: bytes, grouping: str) -> None:
    assert_counted_as_read(data, compiled, PI, grouping)


@COMPILED
@examples(200)
@given(TREES | LINES, GROUPINGS, st.floats(0, 1))
def test_a_torn_file_counts_as_it_reads(compiled: bool, data: bytes, grouping: str, end: float) -> None:
    assert_counted_as_read(data[: round(end * len(data))], compiled, PI, grouping)


@COMPILED
@examples(100)
@given(TREES, GROUPINGS, st.data())
def test_repeated_lines_count_as_they_read(
    compiled: bool, data: bytes, grouping: str, picks: st.DataObject
) -> None:
    lines = data.splitlines(keepends=True)
    start = picks.draw(st.integers(0, len(lines) - 1))
    stop = picks.draw(st.integers(start + 1, len(lines)))
    at = picks.draw(st.integers(stop, len(lines)))
    assert_counted_as_read(b"".join([*lines[:at], *lines[start:stop], *lines[at:]]), compiled, PI, grouping)


@COMPILED
@examples(120)
@given(TREES, st.sampled_from(sorted(ENCODINGS)), GROUPINGS)
def test_a_session_written_in_another_way_counts_as_it_reads(
    compiled: bool, data: bytes, encoding: str, grouping: str
) -> None:
    assert_counted_as_read(ENCODINGS[encoding](entries_of(data)), compiled, PI, grouping)


@COMPILED
@examples(60)
@given(LINES, GROUPINGS)
def test_a_migrated_file_counts_as_it_reads(compiled: bool, data: bytes, grouping: str) -> None:
    assert_counted_as_read(file_of(migrated(entries_of(data))), compiled, PI, grouping)


@COMPILED
@examples(120)
@given(TREES, GROUPINGS, st.integers(0, 30))
def test_a_fork_counts_as_it_reads(compiled: bool, data: bytes, grouping: str, at: int) -> None:
    header, *entries = entries_of(data)
    if entries:
        header |= {"parentSession": "/x/2025_s.jsonl", "timestamp": entries[at % len(entries)]["timestamp"]}
    assert_counted_as_read(file_of([header, *entries]), compiled, PI, grouping)


@COMPILED
@examples(60)
@given(TREES, st.randoms(use_true_random=False), GROUPINGS)
def test_lines_in_any_order_count_as_they_read(
    compiled: bool, data: bytes, chance: Any, grouping: str
) -> None:
    header, *lines = data.splitlines(keepends=True)
    chance.shuffle(lines)
    assert_counted_as_read(b"".join([header, *lines]), compiled, PI, grouping)


@COMPILED
@examples(500)
@given(st.lists(st.sampled_from(SAMPLE_LINES), min_size=1, max_size=5, unique=True), st.data())
def test_damaged_lines_count_as_they_read(compiled: bool, lines: list[bytes], picks: st.DataObject) -> None:
    damaged = [HEADER]
    for line in lines:
        at = picks.draw(st.integers(0, len(line)))
        gone = picks.draw(st.integers(0, 4))
        damaged.append(line[:at] + picks.draw(st.binary(max_size=4) | TOKENS) + line[at + gone :])
    assert_counted_as_read(b"\n".join(damaged) + b"\n", compiled, PI, "message")


def test_the_last_moment_of_a_tree_is_known() -> None:
    assert last_time(next(iter(SAMPLES.values()))) > 0


@COMPILED
def test_a_last_line_without_its_newline_counts(compiled: bool) -> None:
    data = next(iter(SAMPLES.values()))
    taken = assert_counted_as_read(data, compiled)
    assert assert_counted_as_read(data.rstrip(b"\n"), compiled) == taken
    assert (taken > 0) == compiled


ANSWER = (
    b'{"type":"message","id":"a","parentId":null,"timestamp":"2026-01-02T03:04:06.678Z",'
    b'"message":{"role":"assistant","content":"x","usage":{"input":7},"timestamp":1795443529395}}'
)


@COMPILED
@pytest.mark.parametrize(
    "again", [ANSWER + b"\0", b'{"torn":' + ANSWER], ids=["behind NUL", "behind a torn line"]
)
def test_an_entry_that_is_repeated_in_a_damaged_line_is_counted_once(compiled: bool, again: bytes) -> None:
    assert_counted_as_read(b"\n".join([HEADER, ANSWER, again, b""]), compiled)


@COMPILED
@examples(250)
@given(TREES, st.data())
def test_any_value_in_any_field_counts_as_it_reads(compiled: bool, data: bytes, picks: st.DataObject) -> None:
    entries = entries_of(data)
    for _ in range(picks.draw(st.integers(1, 3))):
        at = picks.draw(st.integers(0, len(entries) - 1))
        entries[at] = changed(entries[at], picks.draw)
    assert_counted_as_read(file_of(entries), compiled, PI, "message")


@COMPILED
@pytest.mark.parametrize("bomb", bombs.IN_ONE_FILE, ids=lambda bomb: bomb.__name__)
def test_a_file_made_to_hurt_counts_as_it_reads(compiled: bool, bomb: Any) -> None:
    assert_counted_as_read(b"\n".join([*lines_of(bomb, 24_000)[0], b""]), compiled, PI, "message")


@COMPILED
@pytest.mark.parametrize("agent", AGENTS.values(), ids=list(AGENTS))
def test_damaged_sessions_count_as_they_read_by_every_agent(compiled: bool, agent: Agent) -> None:
    files = fuzz.sources()
    for number in range(1200):
        lines = fuzz.case(random.Random(f"counted {agent.name} {number}"), files)
        assert_counted_as_read(b"\n".join([*lines, b""]), compiled, agent, ("message", "session")[number % 2])


@COMPILED
def test_a_call_without_a_name_is_unknown(compiled: bool) -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant({"type": "toolCall", "id": "c", "arguments": {}})
    talk.result("c", "done")
    assert_counted_as_read(talk.data, compiled)
