"""Files made to hurt: the work grows with their size and not with its square, and calls still count."""

from __future__ import annotations

import functools
import itertools
import json
import sys

import pytest

from parsers.agents.agent import id_of_parent
from parsers.pi import replay
from parsers.pi.position import Allowance
from parsers.pi.session import Session
from tests import bombs
from tests.parsers.build import Transcript, call
from tests.parsers.reading import said

SIZE = 24_000
ALLOWED = 20_000  # bytes, for a file of this size what 128 MB are for one of 150 MB
TOO_OFTEN = "context rewritten too often, the input of calls is incomplete from here on"


def lines_of(bomb, size):
    """The lines of a bomb of about that many bytes."""
    header = {"type": "session", "version": 3, "id": "s", "timestamp": "2025-10-09T08:53:20Z"}
    lines, written = [json.dumps(header).encode()], 0
    for line in bomb(size):
        lines.append(line if isinstance(line, bytes) else json.dumps(line).encode())
        written += len(lines[-1]) + 1
        if written >= size:
            break
    return lines, written


def steps(bomb, size):
    """How many lines of the parsers' code run for each byte of a bomb."""
    lines, written = lines_of(bomb, size)
    count = itertools.count()

    def trace(frame, event, _):
        if "parsers" not in frame.f_code.co_filename:
            return None
        if event == "line":
            next(count)
        return trace

    session = Session()
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for line in lines:
            session.feed(line)
        session.finish(10**14)
    finally:
        sys.settrace(before)
    assert len(session.issues) <= 101
    return next(count) / written


@pytest.mark.parametrize("bomb", bombs.IN_ONE_FILE, ids=lambda bomb: bomb.__name__)
def test_twice_the_bytes_are_twice_the_work(monkeypatch, bomb):
    monkeypatch.setattr(replay, "Allowance", functools.partial(Allowance, ALLOWED))
    assert steps(bomb, 2 * SIZE) < 1.4 * steps(bomb, SIZE) + 0.02


@pytest.mark.parametrize(
    "bomb", [bombs.edits_and_calls, bombs.compactions, bombs.tools_patched, bombs.branch_summaries]
)
def test_what_is_refused_costs_no_call_and_no_token(monkeypatch, bomb):
    monkeypatch.setattr(replay, "Allowance", functools.partial(Allowance, ALLOWED))
    lines, _ = lines_of(bomb, 10 * SIZE)
    session = Session()
    records = [record for line in lines for record in session.feed(line)]
    expected = sum(b'"usage"' in line for line in lines)
    calls = [record for record in records if getattr(record, "usage", None)]
    assert len({record.id for record in calls}) == expected
    assert sum(record.usage.output_tokens for record in calls) == expected
    assert session.issues[TOO_OFTEN].count > 0


def test_a_long_day_of_edits_and_compactions_is_followed_to_its_end():
    talk = Transcript()
    for number in range(150):
        talk.user(f"prompt {number}")
        asked = talk.assistant(call(f"c{number}", "read"))
        result = talk.result(f"c{number}", "x" * 100)
        talk.entry("context_edit", targetId=result, replacement={"content": "cut"})
        if number % 20 == 19:
            talk.compaction("short", keeps=asked)
    talk.user("last")
    talk.assistant("done")
    reading = talk.read()
    assert reading.issues == {}
    given = said(reading.generations[-1].input.full)
    assert given[-4:] == ["user: prompt 149", "assistant: [c149]", "tool: cut", "user: last"]


def test_every_call_of_a_very_large_batch_has_its_own_span():
    lines, _ = lines_of(bombs.results_of_one_answer, 200_000)
    session = Session()
    records = [record for line in lines for record in session.feed(line)]
    spans = [record for record in records if record.id and hasattr(record, "is_error") and record.name == "t"]
    assert len({span.id for span in spans}) == sum(b'"toolResult"' in line for line in lines) > 500
    assert not any(span.is_error for span in spans)


def test_a_very_long_name_of_a_parent_is_not_searched():
    assert id_of_parent("0Z_" * 10**6) is None
    assert id_of_parent("/x" * 10**5 + "/2026-01-01T00-00-00-000Z_abc.jsonl") == "abc"
