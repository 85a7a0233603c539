"""A session that is only counted tells the same as one that is read, in all that numbers depend on."""

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parsers.agents import AGENTS, Agent, SessionParser
from parsers.agents.pi import PI
from parsers.counting import CountingSession, NoSizes
from parsers.lazy import LazyContent, LazyToolResult
from parsers.messages import Source
from parsers.model_input import InputSizes
from parsers.records import AnyRecord, Generation, Span
from tests import bombs, fuzz
from tests.parsers.build import Transcript
from tests.parsers.encodings import ENCODINGS, entries_of, file_of, migrated
from tests.parsers.samples import FOLDER, SAMPLES
from tests.parsers.test_bombs import lines_of
from tests.parsers.test_fuzz import HEADER, SAMPLE_LINES, TOKENS, changed
from tests.parsers.test_properties import FILES, GROUPINGS, LINES, TREES, examples, last_time

FIXTURES = Path(__file__).parents[1] / "fixtures"
RECORDED = {
    path.relative_to(FIXTURES).as_posix(): path
    for path in sorted(FIXTURES.rglob("*"))
    if ".jsonl" in path.name
}
WINDOW_MS = 3_600_000
FOR_EVER_MS = 10**14
NOT_COUNTED = "context rewritten too often"  # where no message is kept, a rewrite costs nothing


class OfOne:
    """Measures everything as one byte."""

    def message(self, source: Source) -> int:
        return 1

    def answer(self, content: LazyContent) -> tuple[int, int]:
        return 1, 1

    def state(self, arguments: Any) -> int:
        return 1

    def result(self, result: LazyToolResult, arguments: Any) -> tuple[int, int]:
        return 1, 1


def numbers(record: AnyRecord) -> dict[str, Any]:
    """What numbers and tables depend on in a record."""
    said: dict[str, Any] = {"is": type(record).__name__}
    names = ["id", "trace_id", "window", "end_ms", "copied", "agent"]
    if isinstance(record, Span):
        names += ["name", "parent_id", "is_error"]
    elif isinstance(record, Generation):
        names += ["name", "model", "start_ms", "usage"]
        said["prompted"] = record.user_prompt is not None
    else:
        names += ["name", "start_ms", "session_name", "from_prompt", "input", "output", "is_error", "error"]
    return said | {name: repr(getattr(record, name)) for name in names}


def told(session: SessionParser, records: list[AnyRecord]) -> dict[str, Any]:
    """Everything that is compared of a session whose records these are."""
    return {
        "records": [numbers(record) for record in records],
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


def blocks(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    """Whole lines, so many at a time; the last number goes on."""
    lines = data[: data.rfind(b"\n") + 1].splitlines(keepends=True) if b"\r" not in data else None
    if lines is None:
        lines = [line + b"\n" for line in data.split(b"\n")[:-1]]
    at = number = 0
    while at < len(lines):
        count = cuts[min(number, len(cuts) - 1)]
        yield b"".join(lines[at : at + count])
        at, number = at + count, number + 1


def fed(session: SessionParser, data: bytes, cuts: list[int] | None = None) -> list[AnyRecord]:
    """The records of a file, fed line by line, or in blocks of so many lines."""
    *lines, torn = data.split(b"\n")
    records: list[AnyRecord] = []
    if cuts is None:
        for line in lines:
            records += session.feed(line)
    else:
        for block in blocks(data, cuts):
            records += session.feed_lines(block)
    if torn:
        records += session.feed(torn, torn=True)
    return records


def assert_counted_as_read(
    data: bytes, agent: Agent = PI, grouping: Any = "message", *cuts: list[int]
) -> None:
    assert agent.counter is not None
    read = agent.parser(grouping, WINDOW_MS)
    expected, expected_ends = told(read, fed(read, data)), finishes(read, data)
    for cut in (None, [1], [10**9], *cuts):
        for measure in (OfOne(), NoSizes()):
            counted = agent.counter(grouping, WINDOW_MS, measure)
            records = fed(counted, data, cut)
            assert told(counted, records) == expected
            assert finishes(counted, data) == expected_ends
            calls = [r for r in records if isinstance(r, Generation)]
            assert not any(isinstance(call.input, InputSizes) and call.input.full < 0 for call in calls)
            if isinstance(measure, OfOne):
                for call in calls:
                    if isinstance(call.input, InputSizes):
                        assert call.input.full >= call.input.turn >= 0


@pytest.mark.parametrize("grouping", ["message", "session"])
@pytest.mark.parametrize("name", SAMPLES)
def test_a_recorded_session_counts_as_it_reads(name: str, grouping: str) -> None:
    assert_counted_as_read(SAMPLES[name], PI, grouping, [2], [3, 1, 7])


def test_no_sample_is_left_out() -> None:
    assert len(SAMPLES) == len(list(FOLDER.rglob("*.jsonl"))) > 20
    assert len(RECORDED) > 40


@pytest.mark.parametrize("grouping", ["message", "session"])
@pytest.mark.parametrize("agent", AGENTS.values(), ids=list(AGENTS))
@pytest.mark.parametrize("name", RECORDED)
def test_a_file_of_the_fixtures_counts_as_it_reads_by_every_agent(
    name: str, agent: Agent, grouping: str
) -> None:
    data = RECORDED[name].read_bytes()
    assert_counted_as_read(data, agent, grouping, [2], [3, 1, 7])


CUTS = st.lists(st.integers(1, 12), min_size=1, max_size=6)


@examples(200)
@given(FILES, GROUPINGS, CUTS)
def test_a_random_session_counts_as_it_reads(data: bytes, grouping: str, cuts: list[int]) -> None:
    assert_counted_as_read(data, PI, grouping, cuts)


@examples(200)
@given(TREES | LINES, GROUPINGS, CUTS, st.floats(0, 1))
def test_a_torn_file_counts_as_it_reads(data: bytes, grouping: str, cuts: list[int], end: float) -> None:
    assert_counted_as_read(data[: round(end * len(data))], PI, grouping, cuts)


@examples(100)
@given(TREES, GROUPINGS, CUTS, st.data())
def test_repeated_lines_count_as_they_read(
    data: bytes, grouping: str, cuts: list[int], picks: st.DataObject
) -> None:
    lines = data.splitlines(keepends=True)
    start = picks.draw(st.integers(0, len(lines) - 1))
    stop = picks.draw(st.integers(start + 1, len(lines)))
    at = picks.draw(st.integers(stop, len(lines)))
    assert_counted_as_read(b"".join([*lines[:at], *lines[start:stop], *lines[at:]]), PI, grouping, cuts)


@examples(120)
@given(TREES, st.sampled_from(sorted(ENCODINGS)), GROUPINGS, CUTS)
def test_a_session_written_in_another_way_counts_as_it_reads(
    data: bytes, encoding: str, grouping: str, cuts: list[int]
) -> None:
    assert_counted_as_read(ENCODINGS[encoding](entries_of(data)), PI, grouping, cuts)


@examples(60)
@given(LINES, GROUPINGS, CUTS)
def test_a_migrated_file_counts_as_it_reads(data: bytes, grouping: str, cuts: list[int]) -> None:
    assert_counted_as_read(file_of(migrated(entries_of(data))), PI, grouping, cuts)


@examples(120)
@given(TREES, GROUPINGS, CUTS, st.integers(0, 30))
def test_a_fork_counts_as_it_reads(data: bytes, grouping: str, cuts: list[int], at: int) -> None:
    header, *entries = entries_of(data)
    if entries:
        header |= {"parentSession": "/x/2025_s.jsonl", "timestamp": entries[at % len(entries)]["timestamp"]}
    assert_counted_as_read(file_of([header, *entries]), PI, grouping, cuts)


@examples(60)
@given(TREES, st.randoms(use_true_random=False), GROUPINGS)
def test_lines_in_any_order_count_as_they_read(data: bytes, chance: Any, grouping: str) -> None:
    header, *lines = data.splitlines(keepends=True)
    chance.shuffle(lines)
    assert_counted_as_read(b"".join([header, *lines]), PI, grouping, [3])


@examples(500)
@given(st.lists(st.sampled_from(SAMPLE_LINES), min_size=1, max_size=5, unique=True), st.data(), CUTS)
def test_damaged_lines_count_as_they_read(lines: list[bytes], picks: st.DataObject, cuts: list[int]) -> None:
    damaged = [HEADER]
    for line in lines:
        at = picks.draw(st.integers(0, len(line)))
        gone = picks.draw(st.integers(0, 4))
        damaged.append(line[:at] + picks.draw(st.binary(max_size=4) | TOKENS) + line[at + gone :])
    assert_counted_as_read(b"\n".join(damaged) + b"\n", PI, "message", cuts)


def test_the_last_moment_of_a_tree_is_known() -> None:
    assert last_time(next(iter(SAMPLES.values()))) > 0


def test_feed_lines_takes_a_last_line_without_its_newline() -> None:
    data = next(iter(SAMPLES.values()))
    whole, cut = (CountingSession("message", WINDOW_MS, NoSizes()) for _ in range(2))
    assert told(whole, whole.feed_lines(data)) == told(cut, cut.feed_lines(data.rstrip(b"\n")))


ANSWER = (
    b'{"type":"message","id":"a","parentId":null,"timestamp":"2026-01-02T03:04:06.678Z",'
    b'"message":{"role":"assistant","content":"x","usage":{"input":7},"timestamp":1795443529395}}'
)


@pytest.mark.parametrize(
    "again", [ANSWER + b"\0", b'{"torn":' + ANSWER], ids=["behind NUL", "behind a torn line"]
)
def test_an_entry_that_is_repeated_in_a_damaged_line_is_counted_once(again: bytes) -> None:
    assert_counted_as_read(b"\n".join([HEADER, ANSWER, again, b""]))


@examples(250)
@given(TREES, st.data(), CUTS)
def test_any_value_in_any_field_counts_as_it_reads(
    data: bytes, picks: st.DataObject, cuts: list[int]
) -> None:
    entries = entries_of(data)
    for _ in range(picks.draw(st.integers(1, 3))):
        at = picks.draw(st.integers(0, len(entries) - 1))
        entries[at] = changed(entries[at], picks.draw)
    assert_counted_as_read(file_of(entries), PI, "message", cuts)


@pytest.mark.parametrize("bomb", bombs.IN_ONE_FILE, ids=lambda bomb: bomb.__name__)
def test_a_file_made_to_hurt_counts_as_it_reads(bomb: Any) -> None:
    assert_counted_as_read(b"\n".join([*lines_of(bomb, 24_000)[0], b""]), PI, "message", [7])


@pytest.mark.parametrize("agent", AGENTS.values(), ids=list(AGENTS))
def test_damaged_sessions_count_as_they_read_by_every_agent(agent: Agent) -> None:
    files = fuzz.sources()
    for number in range(1200):
        lines = fuzz.case(random.Random(f"counted {agent.name} {number}"), files)
        assert_counted_as_read(b"\n".join([*lines, b""]), agent, ("message", "session")[number % 2])


def test_a_call_without_a_name_is_unknown() -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant({"type": "toolCall", "id": "c", "arguments": {}})
    talk.result("c", "done")
    assert_counted_as_read(talk.data)
