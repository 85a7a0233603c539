"""What holds for every session, recorded or random, whatever happens to its file."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from parsers.pi.session import Session
from parsers.records import Generation, Span, Trace
from parsers.times import to_ms
from tests.parsers.encodings import ENCODINGS, entries_of, file_of, migrated, renamed
from tests.parsers.reading import Reading, plain, plain_set, read
from tests.parsers.samples import SAMPLES
from tests.parsers.stories import Story, stories

GROUPINGS = st.sampled_from(["message", "session"])
RECORDED = st.sampled_from(sorted(SAMPLES.values()))
TREES = stories().map(lambda story: story.talk.data)
LINES = stories(1, is_tree=False).map(lambda story: story.talk.data)
FILES = st.one_of(RECORDED, TREES, LINES)


def examples(number: int) -> settings:
    """The same examples at every run; a slow machine is no failure."""
    return settings(
        max_examples=number,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def last_time(data: bytes) -> int:
    """When the last whole line of a file was written."""
    return to_ms(entries_of(data)[-1]["timestamp"]) or 0


def assert_prefixes_are_subsets(data: bytes, cuts: list[int], grouping: str) -> None:
    whole = read(data, grouping=grouping)
    known, known_in_the_end = plain_set(whole.records), plain_set(whole.finished.records)
    for cut in cuts:
        prefix = data[:cut]
        part = read(prefix, grouping=grouping)
        assert plain_set(part.records) <= known
        if b"\n" in prefix:
            assert (
                plain_set(part.session.finish(last_time(prefix[: prefix.rindex(b"\n") + 1])))
                <= known_in_the_end
            )


@pytest.mark.parametrize("grouping", ["message", "session"])
@pytest.mark.parametrize("name", SAMPLES)
def test_every_prefix_of_a_recorded_session_tells_a_part_of_it(name: str, grouping: str) -> None:
    data = SAMPLES[name]
    ends = [at + 1 for at, byte in enumerate(data) if byte == ord("\n")]
    assert_prefixes_are_subsets(
        data, [*ends, *(end - 1 for end in ends), *(end + 9 for end in ends)], grouping
    )


@examples(150)
@given(FILES, st.lists(st.floats(0, 1), min_size=1, max_size=5), GROUPINGS)
def test_every_prefix_of_a_file_tells_a_part_of_it(data: bytes, cuts: list[float], grouping: str) -> None:
    assert_prefixes_are_subsets(data, [round(cut * len(data)) for cut in cuts], grouping)


@examples(60)
@given(TREES, GROUPINGS)
def test_every_line_of_a_random_session_adds_to_what_was_told(data: bytes, grouping: str) -> None:
    ends = [at + 1 for at, byte in enumerate(data) if byte == ord("\n")]
    assert_prefixes_are_subsets(data, ends, grouping)


@examples(150)
@given(FILES, st.data(), GROUPINGS)
def test_lines_that_stand_there_twice_are_told_once(data: bytes, picks: st.DataObject, grouping: str) -> None:
    lines = [line + b"\n" for line in data.split(b"\n")[:-1]]
    expected = [plain(record) for record in read(data, grouping=grouping).finished.records]
    for _ in range(picks.draw(st.integers(1, 4))):
        start = picks.draw(st.integers(0, len(lines) - 1))
        stop = picks.draw(st.integers(start + 1, len(lines)))
        at = picks.draw(st.integers(stop, len(lines)))
        lines[at:at] = lines[start:stop]
    again = read(b"".join(lines), grouping=grouping).finished
    assert [plain(record) for record in again.records] == expected
    twice = read(data + data, grouping=grouping).finished
    assert [plain(record) for record in twice.records] == expected


@examples(150)
@given(FILES, st.sampled_from(sorted(ENCODINGS)), GROUPINGS)
def test_the_same_file_written_in_another_way_tells_the_same(
    data: bytes, encoding: str, grouping: str
) -> None:
    again = ENCODINGS[encoding](entries_of(data))
    assert plain_set(read(again, grouping=grouping).finished.records) == plain_set(
        read(data, grouping=grouping).finished.records
    )


@examples(80)
@given(LINES, GROUPINGS)
def test_a_migrated_file_tells_the_same(data: bytes, grouping: str) -> None:
    again = file_of(migrated(entries_of(data)))
    assert plain_set(read(again, grouping=grouping).finished.records) == plain_set(
        read(data, grouping=grouping).finished.records
    )


@examples(60)
@given(TREES, GROUPINGS)
def test_other_entry_ids_tell_the_same(data: bytes, grouping: str) -> None:
    again = file_of(renamed(entries_of(data)))
    assert plain_set(read(again, grouping=grouping).finished.records) == plain_set(
        read(data, grouping=grouping).finished.records
    )


def assert_books_balance(found: Reading, counted: list[int]) -> None:
    made, spans, traces = found.generations, found.spans, found.traces
    assert sorted(call.usage.input_tokens for call in made) == sorted(counted)
    assert [name for name, times in Counter(record.id for record in found.records).items() if times > 1] == []
    generations, tools = {call.id for call in made}, {span.id for span in spans}
    own = {"user_bash", "compaction"}
    assert all(
        span.parent_id in generations for span in spans if span.name not in own and span.input is not None
    )
    runs = {run.id: run for run in found.runs}
    below = [each for each in (*made, *spans) if each.parent_id in runs]
    assert all(runs[each.parent_id].trace_id == each.trace_id for each in below)
    assert all(call.parent_id in runs or call.parent_id in tools for call in made)
    assert {run.trace_id for run in found.runs} == {call.trace_id for call in made}
    assert Counter(trace.id for trace in traces) == Counter({call.trace_id for call in made})
    shares_ms = Counter[str]()
    for run in found.runs:
        shares_ms[run.trace_id] += run.share_ms
    assert shares_ms == Counter({trace.id: round((trace.latency_s or 0) * 1000) for trace in traces})
    by_id = {trace.id: trace for trace in traces}
    assert all(call.end_ms <= by_id[call.trace_id].end_ms for call in made)
    assert all(call.copied == by_id[call.trace_id].copied for call in made)
    assert all(call.window == by_id[call.trace_id].window for call in made)


@examples(250)
@given(stories(steps=25), GROUPINGS)
def test_in_a_tree_every_call_is_told_once_and_in_one_trace(story: Story, grouping: str) -> None:
    assert_books_balance(story.talk.read(grouping=grouping).finished, story.counted)


@examples(80)
@given(stories(1, is_tree=False, steps=25), GROUPINGS)
def test_in_a_file_of_version_1_every_call_is_told_once_and_in_one_trace(story: Story, grouping: str) -> None:
    assert_books_balance(story.talk.read(grouping=grouping).finished, story.counted)


@examples(100)
@given(stories(steps=20))
def test_every_tool_call_is_a_span_and_every_result_of_one_is_its_output(story: Story) -> None:
    found = story.talk.read().finished
    asked = [block for entry in story.talk.entries for block in _calls(entry)]
    tools = [span for span in found.spans if span.parent_id in {made.id for made in found.generations}]
    assert len(tools) == len(asked)


def _calls(entry: dict[str, object]) -> list[object]:
    message = entry.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    return (
        [block for block in content if block.get("type") == "toolCall"] if isinstance(content, list) else []
    )


@examples(60)
@given(TREES, GROUPINGS, st.integers(0, 10**14), st.integers(0, 10**14))
def test_finish_changes_nothing(data: bytes, grouping: str, now_ms: int, later_ms: int) -> None:
    asked, unasked = Session(grouping), Session(grouping)  # type: ignore[arg-type]
    for line in data.split(b"\n"):
        assert [plain(r) for r in asked.feed(line)] == [plain(r) for r in unasked.feed(line)]
        assert [plain(r) for r in asked.finish(now_ms)] == [plain(r) for r in asked.finish(now_ms)]
        asked.finish(later_ms)


def test_random_sessions_hold_all_kinds_of_records() -> None:
    seen: Counter[str] = Counter()

    @examples(60)
    @given(stories(steps=25))
    def look(story: Story) -> None:
        for record in story.talk.read().finished.records:
            kind = type(record).__name__
            seen[f"{kind} {record.name}" if isinstance(record, (Generation, Span)) else kind] += 1

    look()
    assert set(seen) >= {
        "Generation chat", "Generation compaction", "Generation branch_summary", "Generation cache_warm",
        "Generation bash", "Span bash", "Span user_bash", "Span compaction", Trace.__name__,
    }  # fmt: skip
