"""What session files say of subagents."""

from typing import Any

import pytest

from parsers.pi.session import Session
from parsers.pi.subagents import Delegation, Subagent, may_start_subagents, parse_subagent, starter_of
from parsers.records import Generation
from tests.parsers.build import MINUTE, Transcript, call, usage


@pytest.mark.parametrize(
    ("name", "agent"),
    [
        ("subagent-helper-b491192f-1", "helper"),
        ("subagent-code-reviewer-84e89899-2fb5-40df-9a01-7818d85ec5ad-12", "code-reviewer"),
        ("subagent-scout-76bc17a3", "scout"),
        ("helper#4d5b9717", "helper"),
        ("general-purpose#0a0a0a0a", "general-purpose"),
        ("subagent-helper", None),
        ("subagent-helper-of-mine-1", None),
        ("fix #4d5b9717", None),
        ("issue#1234567", None),
        ("fix the cart", None),
        (None, None),
    ],
)
def test_a_subagent_is_known_by_the_name_that_its_extension_gives_the_session(
    name: str | None, agent: str | None
) -> None:
    found = parse_subagent(name)
    assert (found.name if found else None) == agent


def agents_of(talk: Transcript) -> list[str | None]:
    return [record.agent for record in talk.read().finished.records]


def test_the_records_of_a_subagents_session_name_it() -> None:
    talk = Transcript()
    talk.entry("session_info", name="subagent-helper-b491192f-1")
    talk.user("Task: count")
    talk.assistant("three")
    talk.entry("session_info", name="counting apples")
    talk.user("and pears?")
    talk.assistant("four")
    assert set(agents_of(talk)) == {"helper"}


def test_a_name_that_comes_after_the_first_record_changes_none() -> None:
    talk = Transcript()
    talk.user("count")
    talk.assistant("three")
    talk.entry("session_info", name="subagent-helper-b491192f-1")
    talk.user("and pears?")
    talk.assistant("four")
    assert set(agents_of(talk)) == {None}


def test_what_a_forked_subagent_copied_was_made_by_the_parents_agent() -> None:
    talk = Transcript(start_ms=1_790_000_000_000)
    talk.user("hello")
    talk.assistant("hello you")
    fork = Transcript(start_ms=talk.now_ms + 500, parentSession="/s/2026-01-01T00-00-00-000Z_s1.jsonl")
    fork.lines += talk.lines[1:]
    fork.leaf = talk.leaf
    fork.entry("session_info", name="subagent-helper-b491192f-1")
    fork.user("Task: count")
    fork.assistant("three")
    made = [record for record in fork.read().finished.records if isinstance(record, Generation)]
    assert [(record.copied, record.agent) for record in made] == [(True, None), (False, "helper")]


def children(*files: str | None, **spent: int) -> dict[str, Any]:
    """The details of pi-subagents' tool: a result each, with the session file that holds it."""
    cost = {"cost": 0.001} | spent
    block = {"input": 100, "output": 10, "cacheRead": 5, "cacheWrite": 0, **cost}
    return {
        "mode": "parallel",
        "results": [
            {"agent": "a", "usage": block} | ({"sessionFile": file} if file else {}) for file in files
        ],
    }


def nested(details: Any, **spent: int) -> list[tuple[int, int, int, float]]:
    """Input, output, cache reads and cost of the nested generations of a tool with these details."""
    block = usage(**spent)
    block["cost"] = {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0, "total": 0.002}
    talk = Transcript()
    talk.user("delegate")
    talk.assistant(call("c1", "subagent"))
    talk.result("c1", toolName="subagent", details=details, usage=block)
    talk.assistant("done")
    made = [record for record in talk.read().generations if record.name == "subagent"]
    return [
        (m.usage.input_tokens, m.usage.output_tokens, m.usage.cache_read_tokens, round(m.usage.cost_usd, 9))
        for m in made
    ]


def test_what_the_subagents_recorded_in_files_of_their_own_is_not_counted_again() -> None:
    assert nested(children("/s/a.jsonl", "/s/b.jsonl"), fresh=200, output=20, read=10) == []


def test_what_only_the_tool_recorded_is_counted_with_it() -> None:
    assert nested(children(None, None), fresh=200, output=20, read=10) == [(200, 20, 10, 0.002)]
    assert nested(None, fresh=200, output=20, read=10) == [(200, 20, 10, 0.002)]


def test_of_a_mixed_batch_only_what_has_no_file_is_counted() -> None:
    assert nested(children("/s/a.jsonl", None), fresh=200, output=20, read=10) == [(100, 10, 5, 0.001)]


@pytest.mark.parametrize(
    "details",
    [
        "text",
        [],
        {"results": "none"},
        {"results": ["a", None, 3]},
        {"results": [{"sessionFile": 3}]},
        {"results": [{"sessionFile": ""}]},
        {"results": [{"sessionFile": "/s/a.jsonl", "usage": "much"}, {}]},
        {"results": [{"sessionFile": "/s/a.jsonl", "usage": {"input": "1", "cost": None}}, {}]},
        {"results": [{"sessionFile": "/s/a.jsonl", "usage": {"cost": 10**200, "input": 10**200}}, {}]},
    ],
)
def test_details_of_another_shape_take_nothing_away(details: Any) -> None:
    assert nested(details, fresh=7, output=3) == [(7, 3, 0, 0.002)]


def test_a_session_knows_its_subagent() -> None:
    talk = Transcript()
    talk.entry("session_info", name="scout#4d5b9717")
    session: Session = talk.read().session
    assert session.subagent is not None
    assert (session.subagent.name, session.subagent.run_id) == ("scout", "4d5b9717")


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
