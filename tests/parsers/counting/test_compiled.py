"""Compiled code counts what Python counts: the same figures, the same state, and the lines that it is for."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parsers.counting import session as counting
from tests.parsers.build import IMAGE, Transcript, call, text
from tests.parsers.encodings import ENCODINGS, entries_of
from tests.parsers.pi.test_properties import LINES, TREES, examples
from tests.parsers.samples import SAMPLES

if counting.PlainLines is None:
    pytest.skip("no C compiler was there", allow_module_level=True)

from parsers.counting.compiled import _plain
from tests import odd_json, twins

CASES = 1500
PLAIN = re.compile(rb'"role":"(?:assistant|toolResult)"')


def taken(data: bytes) -> int:
    """How many lines of a file compiled code counts."""
    found = twins.counted([data], "message", compiled=True)
    return len(data.splitlines()) - found.fed


def lines_of(data: bytes) -> list[bytes]:
    return data.split(b"\n")[:-1]


def test_what_was_built_is_what_stands_in_its_sources() -> None:
    built = Path(_plain.__file__)
    sources = [path for end in ("pyx", "pxi", "h") for path in built.parent.glob(f"_*.{end}")]
    newest = max((path.stat().st_mtime for path in sources), default=0)
    assert built.stat().st_mtime >= newest, "install it again: pip install -e ."


def test_it_takes_the_lines_that_sessions_consist_of() -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant(
        "let me look", call("c1"), call("c2", "read", path="/x"), {"type": "thinking", "thinking": "hm"}
    )
    talk.result("c1", "a\nb")
    talk.result("c2", [text("é"), IMAGE], details={"diff": "\t"}, isError=True)
    talk.assistant("done", responseId="r", durationMs=1.5, thinkingLevel=None, rawStopReason="\\")
    talk.assistant(stopReason="length")
    assert taken(talk.data) == 5


def test_it_takes_most_answers_and_results_of_the_samples() -> None:
    plain = [line for data in SAMPLES.values() for line in lines_of(data) if PLAIN.search(line)]
    assert sum(taken(data) for data in SAMPLES.values()) >= 0.9 * len(plain) > 100


def is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize("behind", [b"", b"a", b"a" * 40])
def test_its_utf8_is_pythons(behind: bytes) -> None:
    edges = (0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF)
    heads = [bytes([first, second]) for first in range(256) for second in range(256)]
    more = [bytes([third, fourth]) for third in edges for fourth in edges]
    for head in heads:
        assert _plain.valid_utf8(head + behind) == is_utf8(head + behind)
    for head in heads:
        if head[0] >= 0xE0 and head[1] in edges:
            for end in (*more, *(each[:1] for each in more)):
                assert _plain.valid_utf8(head + end + behind) == is_utf8(head + end + behind)
    assert _plain.valid_utf8(b"")


def told_costs(costs: list[str], *, compiled: bool) -> list[bytes]:
    talk = Transcript()
    talk.user("go")
    for cost in costs:
        talk.assistant("x", model="unknown", usage={"input": 1, "cost": {"total": 111.125}})
        talk.lines[-1] = talk.lines[-1].replace(b"111.125", cost.encode())
    found = twins.counted([talk.data], "message", compiled=compiled)
    assert not compiled or taken(talk.data) >= 0.5 * len(costs)
    return [struct.pack("<d", row[8]) for row in found.rows]


@examples(150)
@given(
    st.lists(
        st.floats(0, 1e6).map(lambda cost: cost if cost > 1e-90 else 0.0) | st.floats(1e-12, 1),
        min_size=1,
        max_size=20,
    )
)
def test_costs_are_read_to_the_last_bit(costs: list[float]) -> None:
    written = [json.dumps(cost) for cost in costs]
    assert told_costs(written, compiled=True) == [struct.pack("<d", cost) for cost in costs]


@examples(150)
@given(
    st.lists(
        st.from_regex(r"(0|[1-9][0-9]{0,19})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?", fullmatch=True),
        min_size=1,
    )
)
def test_costs_in_any_form_are_read_as_python_reads_them(costs: list[str]) -> None:
    plain = [cost for cost in costs if cost != "0"]
    compiled, pure = (told_costs(plain + ["0.5"] * len(plain), compiled=each) for each in (True, False))
    assert (
        compiled
        == pure
        == [struct.pack("<d", float(cost)) for cost in plain] + [struct.pack("<d", 0.5)] * len(plain)
    )


@examples(150)
@given(TREES | LINES, st.integers(0, 11))
def test_random_sessions_leave_the_same_state(data: bytes, number: int) -> None:
    twins.check(lines_of(data), number)


@examples(100)
@given(TREES, st.sampled_from(sorted(ENCODINGS)), st.integers(0, 11))
def test_sessions_written_in_another_way_leave_the_same_state(
    data: bytes, encoding: str, number: int
) -> None:
    twins.check(lines_of(ENCODINGS[encoding](entries_of(data))), number)


@examples(300)
@given(TREES, st.randoms(use_true_random=False), st.integers(0, 11))
def test_damaged_sessions_leave_the_same_state(data: bytes, chance: Any, number: int) -> None:
    lines = lines_of(data)
    for _ in range(3):
        at = chance.randrange(len(lines))
        lines[at] = odd_json.damaged(chance, lines[at])
    twins.check(lines, number)


def test_many_damaged_sessions_leave_the_same_state() -> None:
    found, failed = twins.run(1, 0, CASES)
    assert failed == []
    assert found > CASES // 2


class Blind:
    """Passes over all lines."""

    def __init__(self, *arguments: object) -> None:
        pass

    def count(self, block: bytes, start: int) -> int:
        return len(block)


def test_a_difference_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "PlainLines", Blind)
    _, failed = twins.run(1, 0, 20)
    assert failed


def places(value: Any) -> list[tuple[list[Any], int]]:
    """Where values stand in JSON: the list of pairs or of values, and the place in it."""
    holder = value.pairs if isinstance(value, odd_json.Object) else value
    if not isinstance(holder, list):
        return []
    inner = [each[1] if isinstance(value, odd_json.Object) else each for each in holder]
    return [
        *((holder, at) for at in range(len(holder))),
        *(found for each in inner for found in places(each)),
    ]


def with_every_value(line: bytes) -> list[bytes]:
    """A line with every odd value in the place of each of its values."""
    entry = json.loads(line, object_pairs_hook=odd_json.Object)
    lines = []
    for holder, at in places(entry):
        before = holder[at]
        for value in odd_json.VALUES:
            token = odd_json.Token(value)
            holder[at] = (before[0], token) if isinstance(before, tuple) else token
            lines.append(odd_json.written(entry))
        holder[at] = before
    return lines


@pytest.mark.parametrize("kind", ["answer", "call", "result"])
def test_every_odd_value_in_every_field_is_read_the_same(kind: str) -> None:
    talk = Transcript()
    prompt = talk.user("go")
    said = "hi" if kind == "answer" else call("c1", "read", path="/x")
    full = {"responseId": "r", "durationMs": 1.5, "thinkingLevel": "low", "rawStopReason": "s", "api": "a"}
    asked = talk.assistant(said, {"type": "thinking", "thinking": "hm"}, at=prompt, **full)
    if kind == "result":
        talk.result("c1", "a\nb", at=asked, details={"diff": "x"}, durationMs=1.5)
    *before, line = lines_of(talk.data)
    variants = with_every_value(line)
    assert len(variants) > 2000
    for start in range(0, len(variants), 300):
        lines = [*before[:2]]
        for number, variant in enumerate(variants[start : start + 300]):
            if kind == "result":
                lines.append(before[2].replace(asked.encode(), b"call %d" % number))
                variant = variant.replace(b'"%s"' % asked.encode(), b'"call %d"' % number)
            own = b'"%s"' % talk.leaf.encode() if talk.leaf else b""
            lines.append(variant.replace(own, b'"own %d"' % number))
        twins.check(lines, start // 300)
