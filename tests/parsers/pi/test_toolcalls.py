"""Tool calls, the user's own commands and compactions as spans."""

import pytest

from parsers.pi.messages import MEDIA
from parsers.pi.toolcalls import NO_RESULT, NOT_FINISHED
from parsers.records import Span
from tests.parsers.build import DAY, HOUR, IMAGE, SECOND, Transcript, call, text, usage


def by_name(talk: Transcript) -> dict[str, Span]:
    return {span.name: span for span in talk.read().finished.spans}


def test_a_tool_call_is_a_span_below_the_generation_that_asked_for_it() -> None:
    talk = Transcript()
    talk.user("list")
    talk.assistant("look", call("c1", "bash", command="ls"), takes=700)
    talk.result("c1", "notes.txt", takes=300, details={"n": 1})
    read = talk.read()
    (span,) = read.spans
    assert (span.name, span.parent_id, span.trace_id) == (
        "bash",
        read.generations[0].id,
        read.generations[0].trace_id,
    )
    assert span.input == {"command": "ls"}
    assert span.output == {"content": [text("notes.txt")], "details": {"n": 1}}
    assert (span.start_ms, span.end_ms) == (read.generations[0].end_ms, talk.now_ms)
    assert span.latency_s == 0.3
    assert (span.is_error, span.error, span.error_is_output) == (False, None, False)


def test_a_failed_tool_is_an_error_made_of_its_output() -> None:
    talk = Transcript()
    talk.assistant(call("c1", "read"))
    talk.result("c1", "ENOENT", isError=True)
    span = by_name(talk)["read"]
    assert (span.is_error, span.error, span.error_is_output) == (True, None, True)
    assert span.output == {"content": [text("ENOENT")]}


def test_tools_of_a_parallel_batch_all_begin_when_the_answer_ends() -> None:
    talk = Transcript()
    talk.assistant(call("c1", "slow"), call("c2", "slower"), call("c3", "slowest"))
    talk.result("c1", takes=2 * SECOND)
    talk.result("c2", takes=0)
    talk.result("c3", takes=1)
    spans = by_name(talk)
    assert {name: span.latency_s for name, span in spans.items()} == {
        "slow": 2,
        "slower": 2,
        "slowest": 2.001,
    }


def test_a_sequential_tool_begins_when_the_one_before_has_ended() -> None:
    talk = Transcript()
    talk.assistant(call("c1", "first"), call("c2", "second"))
    talk.result("c1", takes=2 * SECOND)
    talk.result("c2", takes=500)
    assert {name: span.latency_s for name, span in by_name(talk).items()} == {"first": 2, "second": 0.5}


def test_results_are_paired_by_id_whatever_their_order() -> None:
    talk = Transcript()
    talk.assistant(call("c1", "first"), call("c2", "second"))
    talk.result("c2", "two")
    talk.result("c1", "one")
    spans = by_name(talk)
    assert spans["first"].output == {"content": [text("one")]}
    assert spans["second"].output == {"content": [text("two")]}


def test_media_in_a_result_stays_here() -> None:
    talk = Transcript()
    talk.assistant(call("c1", "shot"))
    talk.result("c1", [text("see"), IMAGE])
    assert by_name(talk)["shot"].output == {"content": [text("see"), {"type": "image", "data": MEDIA}]}


@pytest.mark.parametrize("what_follows", ["user", "assistant"])
def test_a_call_that_was_passed_over_is_an_error_without_output(what_follows: str) -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant(call("c1", "done"), call("c2", "lost"))
    asked_ms = talk.now_ms
    talk.result("c1")
    talk.user("and now?") if what_follows == "user" else talk.assistant("sorry", stopReason="aborted")
    spans = {span.name: span for span in talk.read().spans}
    lost = spans["lost"]
    assert (lost.is_error, lost.error, lost.error_is_output, lost.output) == (True, NO_RESULT, False, None)
    assert (lost.start_ms, lost.end_ms, lost.latency_s) == (None, asked_ms, None)
    assert not spans["done"].is_error


def test_a_call_left_open_by_a_crash_is_an_error_a_day_later() -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant(call("c1", "lost"))
    read = talk.read()
    assert read.spans == []
    assert read.session.finish(talk.now_ms + 23 * HOUR) == []
    (lost,) = [r for r in read.session.finish(talk.now_ms + DAY) if isinstance(r, Span)]
    assert (lost.name, lost.is_error, lost.output, lost.error) == ("lost", True, None, NO_RESULT)


def test_a_call_in_an_aborted_answer_is_an_error_too() -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant("I will", call("c1", "write"), stopReason="aborted")
    assert by_name(talk)["write"].error == NO_RESULT


def test_a_call_left_open_on_a_branch_that_model_work_left_is_an_error_a_day_later() -> None:
    talk = Transcript()
    start = talk.user("go")
    left = talk.assistant(call("c1", "lost"))
    talk.wait(HOUR)
    talk.entry("branch_summary", parent=start, fromId=left, summary="tried", usage=usage())
    read = talk.read()
    assert [span.name for span in read.spans] == []
    assert [r.name for r in read.session.finish(talk.now_ms + HOUR) if isinstance(r, Span)] == []
    assert [r.name for r in read.session.finish(talk.now_ms + DAY) if isinstance(r, Span)] == ["lost"]


def test_a_call_is_told_once_though_two_branches_follow_it() -> None:
    talk = Transcript()
    talk.user("go")
    asked = talk.assistant(call("c1", "lost"))
    talk.user("one way", at=asked)
    talk.assistant("1")
    talk.user("other way", at=asked)
    talk.assistant("2")
    assert [span.name for span in talk.read().finished.spans] == ["lost"]


def test_a_result_on_a_second_branch_does_not_change_the_span() -> None:
    talk = Transcript()
    talk.user("go")
    asked = talk.assistant(call("c1", "tool"))
    talk.result("c1", "first")
    talk.assistant("1")
    talk.result("c1", "second", at=asked)
    talk.assistant("2")
    assert [span.output for span in talk.read().finished.spans] == [{"content": [text("first")]}]


def test_nested_usage_is_counted_though_its_call_was_told_before() -> None:
    talk = Transcript()
    talk.user("go")
    asked = talk.assistant(call("c1", "tool"))
    talk.user("hurry")
    talk.assistant("1")
    talk.result("c1", "late", at=asked, toolName="tool", usage=usage(7))
    read = talk.read().finished
    (span,) = read.spans
    (nested,) = [made for made in read.generations if made.name == "tool"]
    assert (nested.parent_id, nested.usage.input_tokens) == (span.id, 7)


def test_a_result_without_a_call_is_a_span_of_its_own() -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant("1")
    talk.result("c9", "from nowhere", toolName="ghost")
    read = talk.read().finished
    (span,), (run,) = read.spans, read.runs
    assert (span.name, span.parent_id) == ("ghost", run.id)
    assert (span.input, span.output, span.start_ms) == (None, {"content": [text("from nowhere")]}, None)


def test_calls_without_ids_or_names_are_spans_all_the_same() -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant({"type": "toolCall", "arguments": 1}, {"type": "toolCall", "arguments": 2})
    spans = talk.read().finished.spans
    assert [(span.name, span.input) for span in spans] == [("unknown", 1), ("unknown", 2)]
    assert len({span.id for span in spans}) == 2


@pytest.mark.parametrize(
    ("ran", "is_error"),
    [({"exit_code": 0}, False), ({"exit_code": 3}, True), ({"exit_code": None, "cancelled": True}, True)],
)
def test_a_users_command_is_a_span_of_the_run_before_it(ran: dict[str, object], is_error: bool) -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant("1")
    talk.bash("ls", "out", **ran)  # type: ignore[arg-type]
    read = talk.read().finished
    (span,), (run,) = read.spans, read.runs
    assert (span.name, span.parent_id) == ("user_bash", run.id)
    assert span.input == {"command": "ls"}
    assert span.output["output"] == "out"
    assert (span.is_error, span.error_is_output, span.latency_s) == (is_error, is_error, None)


def test_a_command_before_any_prompt_has_a_trace_id_of_its_own() -> None:
    talk = Transcript()
    talk.bash("ls")
    talk.bash("env", excludeFromContext=True)
    first, second = talk.read().spans
    assert first.trace_id == first.parent_id != second.trace_id


def test_a_compaction_whose_usage_is_unknown_is_a_span() -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant("1")
    talk.compaction("so far", tokensBefore=500)
    read = talk.read().finished
    (span,), (run,) = read.spans, read.runs
    assert (span.name, span.parent_id) == ("compaction", run.id)
    assert (span.input, span.output) == ({"tokensBefore": 500}, {"summary": "so far"})
    assert len(read.generations) == 1


def test_a_tool_whose_time_pi_measured_has_that_latency() -> None:
    talk = Transcript()
    talk.assistant(call("c1", "slow"), call("c2", "quick"))
    talk.result("c1", takes=2 * SECOND, durationMs=1990)
    talk.result("c2", takes=0, durationMs=12.5)
    assert {name: span.latency_s for name, span in by_name(talk).items()} == {"slow": 1.99, "quick": 0.0125}


@pytest.mark.parametrize("duration", [-1, "long", None])
def test_a_duration_that_is_none_is_not_taken(duration: object) -> None:
    talk = Transcript()
    talk.assistant(call("c1", "slow"))
    talk.result("c1", takes=2 * SECOND, durationMs=duration)
    assert by_name(talk)["slow"].latency_s == 2


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


def test_a_result_that_is_repeated_behind_a_prompt_has_no_call() -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant(call("c1"))
    talk.result("c1", "done")
    talk.user("more")
    talk.result("c1", "again")
    assert [span.output["content"][0]["text"] for span in talk.read().spans] == ["done", "again"]
