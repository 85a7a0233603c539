"""Calls that a tool made to other tools, as pi records them on the tool's result."""

import pytest

from parsers.pi.toolcalls import NOT_FINISHED
from parsers.records import Span
from tests.parsers.build import Transcript, call


def nested(*calls: object, **fields: object) -> list[Span]:
    """The spans of the calls that a script made, without the script's own."""
    talk = Transcript()
    talk.assistant(call("c1", "codemode"))
    talk.result("c1", toolName="codemode", nestedCalls={"calls": list(calls), "complete": True}, **fields)
    return talk.read().spans


def test_calls_that_a_tool_made_are_spans_below_its_own() -> None:
    script, first, second = nested(
        {"id": "c1/1", "name": "read", "arguments": {"path": "a.ts"}, "status": "ok", "durationMs": 30},
        {"id": "c1/2", "name": "write", "argumentsBytes": 40_000, "status": "ok"},
    )
    assert [span.parent_id for span in (first, second)] == [script.id, script.id]
    assert (first.name, first.input, first.output, first.latency_s) == ("read", {"path": "a.ts"}, None, 0.03)
    assert (second.name, second.input, second.latency_s) == ("write", None, None)
    assert {span.trace_id for span in (first, second)} == {script.trace_id}
    assert (first.is_error, first.error, first.end_ms) == (False, None, script.end_ms)
    assert len({script.id, first.id, second.id}) == 3


def test_a_call_inside_of_a_nested_call_hangs_below_that() -> None:
    _, outer, inner = nested(
        {"id": "c1/1", "name": "codemode", "status": "ok"}, {"id": "c1/1/1", "name": "read", "status": "ok"}
    )
    assert inner.parent_id == outer.id


def test_a_nested_call_that_failed_or_was_not_finished_is_an_error() -> None:
    _, failed, unfinished = nested(
        {"id": "c1/1", "name": "read", "status": "error", "error": "ENOENT: a.ts"},
        {"id": "c1/2", "name": "bash", "status": "unfinished"},
    )
    assert (failed.is_error, failed.output, failed.error_is_output) == (True, "ENOENT: a.ts", True)
    assert (unfinished.is_error, unfinished.error, unfinished.error_is_output) == (True, NOT_FINISHED, False)


@pytest.mark.parametrize("odd", [{}, {"id": 3, "name": None}, "text", None])
def test_odd_nested_calls_lose_nothing_else(odd: object) -> None:
    script, *others = nested({"id": "c1/1", "name": "read", "status": "ok"}, odd)
    assert script.name == "codemode"
    assert "read" in {span.name for span in others}
    assert len({span.id for span in others}) == len(others)
