"""Nothing that stands in a file stops the reading of it."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from parsers.pi.session import Session
from tests.parsers.pi.test_properties import examples
from tests.parsers.reading import plain
from tests.parsers.samples import SAMPLES
from tests.parsers.stories import Story, stories

HEADER = b'{"type":"session","version":3,"id":"s","timestamp":"2026-01-02T03:04:05.678Z"}'
SAMPLE_LINES = sorted({line for data in SAMPLES.values() for line in data.split(b"\n") if len(line) < 2000})
WORDS = st.sampled_from(
    ["message", "assistant", "user", "toolResult", "compaction", "context_edit", "text", "toolCall"]
)
NUMBERS = (
    st.integers() | st.floats() | st.sampled_from([10**30, 10**400, -(10**400), 2**63, 1e300, -0.0, 1.5])
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text() | WORDS | st.just("\ud83d"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | WORDS, inner, max_size=3),
    max_leaves=6,
)
TOKENS = st.sampled_from(
    [b"{", b"}", b"[", b'"', b":", b",", b"\\", b"\\u", b"NaN", b"1e999", b"\0", b"\xff", b"-", b"\r"]
)


def read_all(lines: list[bytes]) -> None:
    """Read lines in both groupings, and everything that can be asked of what comes of them."""
    for grouping in ("message", "session"):
        session = Session(grouping)  # type: ignore[arg-type]
        records = [record for line in lines for record in session.feed(line)]
        records += session.finish(10**14)
        for record in records:
            plain(record)
            assert record.latency_s is None or record.latency_s >= 0
        assert all(1 <= issue.line <= len(lines) for issue in session.issues.values())


def changed(value: Any, draw: st.DrawFn, depth: int = 0) -> Any:
    """A JSON value with another value somewhere in it."""
    if isinstance(value, (dict, list)) and value and draw(st.integers(0, 5)) >= (1 if depth else 0):
        copy: Any = value.copy()
        key = (
            draw(st.sampled_from(sorted(copy)))
            if isinstance(copy, dict)
            else draw(st.integers(0, len(copy) - 1))
        )
        copy[key] = changed(copy[key], draw, depth + 1)
        return copy
    return draw(VALUES)


@examples(300)
@given(st.lists(st.binary(max_size=60), max_size=8))
def test_any_bytes_can_be_lines(lines: list[bytes]) -> None:
    read_all([HEADER, *lines])


@examples(300)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["type", "id", "parentId", "message", "usage"]), VALUES), max_size=6
    )
)
def test_any_objects_can_be_entries(entries: list[Any]) -> None:
    read_all([HEADER, *(json.dumps(entry).encode() for entry in entries)])


@examples(400)
@given(st.lists(st.sampled_from(SAMPLE_LINES), min_size=1, max_size=4), st.data())
def test_any_bytes_can_stand_in_a_line_that_pi_wrote(lines: list[bytes], picks: st.DataObject) -> None:
    torn = []
    for line in lines:
        at = picks.draw(st.integers(0, len(line)))
        gone = picks.draw(st.integers(0, 4))
        torn.append(line[:at] + picks.draw(st.binary(max_size=4) | TOKENS) + line[at + gone :])
    read_all([HEADER, *torn])


@examples(250)
@given(stories(steps=8), st.data())
def test_any_value_can_stand_in_any_field(story: Story, picks: st.DataObject) -> None:
    entries = [json.loads(line) for line in story.talk.lines]
    for _ in range(picks.draw(st.integers(1, 3))):
        at = picks.draw(st.integers(0, len(entries) - 1))
        entries[at] = changed(entries[at], picks.draw)
    read_all([json.dumps(entry).encode() for entry in entries])


@examples(150)
@given(stories(steps=10), st.randoms(use_true_random=False))
def test_lines_can_stand_in_any_order(story: Story, random: Any) -> None:
    lines = story.talk.lines[1:]
    random.shuffle(lines)
    read_all([HEADER, *lines])
