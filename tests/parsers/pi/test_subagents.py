"""What session files say of subagents."""

from typing import Any

import pytest

from parsers.pi.session import Session
from parsers.pi.subagents import subagent_of
from parsers.records import Generation
from tests.parsers.build import Transcript, call, usage


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
    found = subagent_of(name)
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
