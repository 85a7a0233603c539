"""Which tool call started a subagent, told from what was written before it began."""

from typing import Any

import pytest

from parsers.pi.session import Session
from parsers.pi.subagents import Delegation, Subagent, may_start_subagents, starter_of
from tests.parsers.build import MINUTE, Transcript, call

HELPER = Subagent("helper", "aaaaaaaa")


def delegations(talk: Transcript) -> list[Delegation]:
    session: Session = talk.read().session
    return list(session.delegations)


def ran(name: str, start_ms: int, end_ms: int | None, task: str = "", run_id: str = "") -> Delegation:
    """A call of a tool, as it was seen in the parent's file."""
    return Delegation(name, start_ms, False, {"agent": "a", "task": task}, end_ms, (run_id,))


@pytest.mark.parametrize("tool", ["subagent", "Agent", "task", "delegate_work", "run_agents"])
def test_tools_that_may_start_subagents_are_known_by_their_names(tool: str) -> None:
    assert may_start_subagents(tool)


@pytest.mark.parametrize("tool", ["bash", "read", "edit", "write", "grep", ""])
def test_other_tools_start_none(tool: str) -> None:
    assert not may_start_subagents(tool)


def test_a_session_keeps_the_calls_that_may_start_subagents() -> None:
    talk = Transcript()
    talk.user("delegate")
    talk.assistant(call("c1", "subagent", agent="helper", task="count"), call("c2", "bash", command="ls"))
    called_ms = talk.now_ms
    talk.result("c2")
    talk.result("c1", toolName="subagent", details={"mode": "single", "runId": "b491192f"}, takes=MINUTE)
    (found,) = delegations(talk)
    tool = next(span for span in talk.read().spans if span.name == "subagent")
    assert (found.span_id, found.called_ms, found.ended_ms) == (tool.id, called_ms, talk.now_ms)
    assert (found.arguments, found.run_ids) == ({"agent": "helper", "task": "count"}, ("b491192f",))


def test_a_call_without_a_result_ends_when_something_else_follows() -> None:
    talk = Transcript()
    talk.assistant(call("c1", "subagent"))
    assert delegations(talk)[0].ended_ms is None
    talk.user("never mind")
    assert delegations(talk)[0].ended_ms == talk.now_ms


@pytest.mark.parametrize("details", [None, "text", [], {"runId": 3}, {"asyncId": ""}])
def test_a_result_of_another_shape_names_no_run(details: Any) -> None:
    talk = Transcript()
    talk.assistant(call("c1", "subagent"))
    talk.result("c1", details=details)
    assert delegations(talk)[0].run_ids == ()


def test_the_call_that_was_running_started_it() -> None:
    calls = [ran("before", 0, 50), ran("during", 60, 200), ran("after", 150, None)]
    assert starter_of(calls, 100, "anything") == "during"
    assert starter_of(calls[:1], 100, "anything") is None
    assert starter_of([], 100, None) is None


def test_of_several_that_were_running_the_one_that_asked_for_it() -> None:
    calls = [ran("apples", 0, None, "count the apples"), ran("pears", 0, 500, "count the pears")]
    assert starter_of(calls, 100, "Task: count the pears") == "pears"
    assert starter_of(calls, 100, "Task: count the apples\n\n## Acceptance Contract\nShort.") == "apples"
    assert starter_of(calls, 100, "Task: count the plums") is None
    assert starter_of([*calls, ran("again", 0, None, "count the pears")], 100, "count the pears") is None


def test_a_script_that_holds_the_task_asked_for_it() -> None:
    script = 'const r = await runs.all([{agent: "helper", task: "count the apples"}])'
    calls = [Delegation("script", 0, False, {"workflowScript": script}), ran("other", 0, None, "count pears")]
    assert starter_of(calls, 100, "Task: count the apples") == "script"


def test_a_call_whose_result_named_the_run_started_it_in_the_background() -> None:
    calls = [ran("one", 0, 10, run_id="aaaaaaaa-1111"), ran("two", 20, 30, run_id="bbbbbbbb-2222")]
    assert starter_of(calls, 100, "go", Subagent("helper", "bbbbbbbb-2222"), session_ms=90) == "two"
    assert starter_of(calls, 100, "go", HELPER, session_ms=90) == "one"
    assert starter_of(calls, 100, "go", Subagent("helper", "cccccccc"), session_ms=90) is None


def test_a_run_long_after_the_first_was_not_started_in_the_background() -> None:
    calls = [ran("one", 0, 10, run_id="aaaaaaaa")]
    assert starter_of(calls, 90 + MINUTE, "go on", HELPER, session_ms=90) is None


def test_a_call_that_ended_while_the_session_was_there_started_no_later_run() -> None:
    calls = [ran("one", 0, 95, run_id="aaaaaaaa")]
    assert starter_of(calls, 94, "count", HELPER, session_ms=90) == "one"
    assert starter_of(calls, 100, "go on", HELPER, session_ms=90) is None


def test_what_was_written_after_it_began_tells_nothing() -> None:
    """A live tail may have sent the trace by then."""
    calls = [ran("apples", 0, 500, "x", run_id="aaaaaaaa"), ran("pears", 0, 500, "y", run_id="bbbbbbbb")]
    assert starter_of(calls, 100, "count", HELPER) is None


def test_a_script_in_the_background_started_what_it_asks_for() -> None:
    script = {"workflowScript": 'await runs.run("one", {agent: "helper", task: "count the apples"})'}
    calls = [Delegation("script", 0, False, script, 10, ("other",), is_background=True)]
    assert starter_of(calls, 100, "Task: count the apples", HELPER, session_ms=90) == "script"
    assert starter_of(calls, 100, "Task: made up: 3", HELPER, session_ms=90) == "script"
    assert starter_of(calls, 100, "Task: made up: 3", Subagent("boss", "aaaaaaaa"), session_ms=90) is None
    assert starter_of(calls, 90 + MINUTE, "Task: count the apples", session_ms=90) is None
    calls[0].is_background = False
    assert starter_of(calls, 100, "Task: count the apples", HELPER, session_ms=90) is None


@pytest.mark.parametrize("arguments", [None, 3, [], {"task": None}, {"deep": [{"er": [{"task": "no"}]}]}])
def test_odd_arguments_are_no_error(arguments: Any) -> None:
    calls = [Delegation("odd", 0, False, arguments), Delegation("other", 0, False, arguments)]
    assert starter_of(calls, 100, "Task: count") is None
