"""The session's name in the traces: the one that it had at that time, on that branch."""

import pytest

from tests.parsers.build import HOUR, Transcript, usage


def names_of(talk: Transcript) -> list[tuple[str, str | None]]:
    """The traces' names, each with the session's name in it."""
    return [(trace.name, trace.session_name) for trace in talk.read().finished.traces]


def test_a_trace_has_the_name_that_the_session_had_then() -> None:
    talk = Transcript()
    talk.user("one")
    talk.assistant("1")
    talk.entry("session_info", name="Counting")
    talk.wait(HOUR)
    talk.user("two")
    talk.assistant("2")
    talk.wait(HOUR)
    talk.entry("session_info", name=" Counting on ")
    talk.user("three")
    talk.assistant("3")
    talk.wait(HOUR)
    talk.entry("session_info", name="")
    talk.user("four")
    talk.assistant("4")
    assert names_of(talk) == [
        ("one", "Counting"),  # named a second after the run: its trace was not sent by then
        ("two", "Counting"),
        ("three", "Counting on"),
        ("four", None),
    ]


@pytest.mark.parametrize("grouping", ["message", "session"])
def test_a_name_that_comes_when_the_trace_may_have_been_sent_is_not_in_it(grouping: str) -> None:
    talk = Transcript()
    talk.user("one")
    talk.assistant("1")
    talk.entry("session_info", name="Late", takes=2 * HOUR)
    (trace,) = talk.read(grouping=grouping).finished.traces
    assert trace.session_name is None


def test_a_name_holds_on_the_branch_that_it_was_given_on() -> None:
    talk = Transcript()
    talk.user("one")
    answer = talk.assistant("1")
    talk.wait(HOUR)
    talk.entry("session_info", name="Named")
    talk.user("two")
    talk.assistant("2")
    talk.user("instead", at=answer)
    talk.assistant("3")
    assert names_of(talk) == [("one", None), ("two", "Named"), ("instead", None)]


def test_work_without_a_prompt_has_the_sessions_name_too() -> None:
    talk = Transcript()
    talk.entry("session_info", name="Warm")
    talk.entry("usage", kind="cache_warm", provider="mock", model="mock-1", usage=usage())
    assert names_of(talk) == [("cache_warm", "Warm")]
