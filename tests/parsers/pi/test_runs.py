"""Which calls belong together: runs, session windows, and when a trace is complete."""

import pytest

from parsers.pi.session import Session
from parsers.records import Trace
from tests.parsers.build import DAY, HOUR, MINUTE, SECOND, Transcript, call, text, usage
from tests.parsers.reading import Reading


def runs(talk: Transcript) -> list[list[str]]:
    """The names of the calls of every trace, in the order in which the traces began."""
    by_trace: dict[str, list[str]] = {}
    for made in talk.read().generations:
        by_trace.setdefault(made.trace_id, []).append(made.name)
    return list(by_trace.values())


def finish(read: Reading, now_ms: int, written_ms: int = 0) -> list[str]:
    """The names of the traces that have ended by now."""
    return [record.name for record in read.session.finish(now_ms, written_ms) if isinstance(record, Trace)]


def test_a_prompt_opens_a_run_and_completes_the_one_before() -> None:
    talk = Transcript()
    talk.user("\n first thing \nin detail")
    began_ms = talk.now_ms - 1
    talk.assistant(call("c1"))
    talk.result("c1")
    talk.assistant("did it")
    ended_ms = talk.now_ms
    talk.wait(HOUR)
    talk.user("second thing")
    talk.assistant("did that")
    read = talk.read()
    assert runs(talk) == [["chat", "chat"], ["chat"]]
    (trace,) = read.traces
    assert trace.id == trace.trace_id == read.generations[0].trace_id
    assert (trace.name, trace.from_prompt) == ("first thing", True)
    assert (trace.input, trace.output) == ("\n first thing \nin detail", "did it")
    assert (trace.start_ms, trace.end_ms) == (began_ms, ended_ms)
    assert (trace.is_error, trace.error) == (False, None)


def test_the_first_prompt_written_in_the_instant_of_the_system_message_opens_a_run() -> None:
    talk = Transcript()
    talk.system("Be kind.")
    talk.user("go", takes=0)
    talk.assistant("1")
    assert [trace.name for trace in talk.read().finished.traces] == ["go"]


@pytest.mark.parametrize("typed_ago", [1, 500, 5000])
def test_a_queued_message_stays_in_the_run(typed_ago: int) -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant(call("c1"), takes=10 * SECOND)
    talk.result("c1")
    talk.queued("steer", typed_ago=typed_ago)
    talk.assistant("steered", takes=10 * SECOND)
    talk.queued("follow up", typed_ago=typed_ago)
    talk.assistant("done")
    read = talk.read()
    assert runs(talk) == [["chat"] * 3]
    assert [made.user_prompt for made in read.generations] == ["go", None, None]
    assert read.session.prompts == 3


def test_a_run_with_a_queued_message_goes_on_until_that_is_answered() -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant("done", takes=10 * SECOND)
    talk.queued("and then?", typed_ago=500)
    talk.entry("usage", kind="cache_warm", usage=usage())
    assert finish(talk.read(), talk.now_ms + 10 * MINUTE) == []
    talk.assistant("that", takes=10 * MINUTE)
    assert finish(talk.read(), talk.now_ms + MINUTE) == ["go"]


def test_a_prompt_after_a_clock_that_ran_backwards_opens_a_run() -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant("1")
    talk.wait(-HOUR)
    talk.user("on")
    talk.assistant("2")
    assert runs(talk) == [["chat"], ["chat"]]


def test_a_run_ends_with_its_latest_call_though_the_clock_ran_backwards() -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant(call("c1"))
    latest_ms = talk.now_ms
    talk.result("c1", takes=-5000)
    talk.assistant("1")
    assert [trace.end_ms for trace in talk.read().finished.traces] == [latest_ms]


@pytest.mark.parametrize("stop", ["error", "length"])
def test_a_run_goes_on_after_a_retry(stop: str) -> None:
    talk = Transcript()
    talk.user("go")
    failed = talk.assistant(stopReason=stop, errorMessage="overloaded")
    talk.entry("context_edit", targetId=failed, replacement=None)
    talk.wait(MINUTE)
    talk.assistant("at last")
    read = talk.read().finished
    assert runs(talk) == [["chat", "chat"]]
    assert [(trace.is_error, trace.error, trace.output) for trace in read.traces] == [
        (False, None, "at last")
    ]


def test_a_run_goes_on_after_a_compaction_that_made_room() -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant("cut", stopReason="length")
    talk.compaction("so far", usage=usage())
    talk.assistant("the rest")
    assert runs(talk) == [["chat", "compaction", "chat"]]


@pytest.mark.parametrize(("stop", "error"), [("error", "overloaded"), ("aborted", None), ("stop", None)])
def test_a_run_is_an_error_if_its_last_call_is(stop: str, error: str | None) -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant(call("c1"))
    talk.result("c1")
    talk.assistant(stopReason=stop, errorMessage="overloaded")
    (trace,) = talk.read().finished.traces
    assert (trace.is_error, trace.error) == (error is not None, error)


def test_an_error_without_a_message_is_an_error_all_the_same() -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant(stopReason="error")
    assert [trace.error for trace in talk.read().finished.traces] == ["unknown error"]


def test_model_work_at_an_agent_long_idle_is_a_trace_of_its_own() -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant("1")
    talk.wait(5 * MINUTE)
    talk.entry("usage", kind="cache_warm", usage=usage())
    talk.wait(5 * MINUTE)
    talk.compaction("so far", usage=usage())
    talk.user("on")
    talk.assistant("2")
    read = talk.read().finished
    assert runs(talk) == [["chat"], ["cache_warm"], ["compaction"], ["chat"]]
    assert [(trace.name, trace.from_prompt) for trace in read.traces] == [
        ("go", True), ("cache_warm", False), ("compaction", False), ("on", True)
    ]  # fmt: skip
    assert read.traces[2].output == "so far"


def test_a_compaction_right_after_an_answer_belongs_to_its_run() -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant("1")
    talk.compaction("so far", usage=usage())
    assert runs(talk) == [["chat", "compaction"]]
    assert [trace.output for trace in talk.read().finished.traces] == ["1"]


def test_cache_warming_while_a_tool_runs_belongs_to_the_run() -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant(call("c1"))
    talk.wait(5 * MINUTE)
    talk.entry("usage", kind="cache_warm", usage=usage())
    talk.result("c1")
    talk.assistant("done")
    assert runs(talk) == [["chat", "cache_warm", "chat"]]


def test_a_message_typed_while_an_idle_agent_compacts_opens_a_run() -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant("1")
    talk.wait(HOUR)
    talk.compaction("so far", usage=usage())
    talk.queued("on", typed_ago=500)
    talk.assistant("2")
    assert runs(talk) == [["chat"], ["compaction"], ["chat"]]


def test_an_extension_that_wakes_an_idle_agent_begins_a_run_without_a_prompt() -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant("1")
    talk.wait(HOUR)
    talk.entry("custom_message", customType="alarm", content="wake up")
    talk.assistant("I am awake")
    read = talk.read().finished
    assert runs(talk) == [["chat"], ["chat"]]
    assert [(trace.name, trace.from_prompt, trace.input) for trace in read.traces] == [
        ("go", True, "go"), ("chat", False, None)
    ]  # fmt: skip
    assert read.generations[1].user_prompt is None


def test_calls_before_any_prompt_are_a_run_without_one() -> None:
    talk = Transcript()
    talk.assistant("hello")
    assert [trace.name for trace in talk.read().finished.traces] == ["chat"]


def test_a_branch_off_an_earlier_run_is_a_run_of_its_own() -> None:
    talk = Transcript()
    talk.user("go")
    first = talk.assistant("1")
    talk.user("on")
    talk.assistant("2")
    talk.user("no, that way", at=first)
    talk.assistant("3")
    assert runs(talk) == [["chat"]] * 3


def test_a_prompt_without_an_answer_is_no_trace() -> None:
    talk = Transcript()
    talk.user("go")
    talk.user("hello?")
    talk.assistant("1")
    assert [trace.name for trace in talk.read().finished.traces] == ["hello?"]


def test_a_prompt_of_images_alone_names_nothing() -> None:
    talk = Transcript()
    talk.user([{"type": "image", "data": "x"}])
    talk.assistant([text("nice")][0])
    assert [(trace.name, trace.input) for trace in talk.read().finished.traces] == [("", "")]


def test_a_run_that_is_still_going_on_is_no_trace() -> None:
    talk = Transcript()
    talk.user("go")
    assert finish(talk.read(), talk.now_ms + 30 * DAY) == []
    talk.assistant(call("c1"))
    assert finish(talk.read(), talk.now_ms + HOUR) == []
    talk.result("c1")
    read = talk.read()
    assert finish(read, talk.now_ms + HOUR) == []
    assert read.session.open_traces() == {read.generations[0].trace_id, read.generations[0].parent_id}


@pytest.mark.parametrize(
    ("stop", "quiet_s"), [("stop", 20), ("aborted", 20), ("length", 120), ("error", 120)]
)
def test_a_run_has_ended_once_it_was_quiet_after_a_final_stop(stop: str, quiet_s: int) -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant("1", stopReason=stop)
    assert finish(talk.read(), talk.now_ms + quiet_s * SECOND - 1) == []
    assert finish(talk.read(), talk.now_ms + quiet_s * SECOND) == ["go"]


def test_model_work_long_after_an_error_makes_a_trace_of_its_own() -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant("1", stopReason="error")
    talk.wait(2 * MINUTE)
    talk.compaction("in short", usage=usage())
    call, compaction = talk.read().generations
    assert compaction.trace_id not in ("", call.trace_id)


def test_a_run_that_was_broken_off_has_ended_a_day_after_the_last_write() -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant(call("c1"))
    talk.result("c1")
    assert finish(talk.read(), talk.now_ms + DAY - 1) == []
    assert finish(talk.read(), talk.now_ms + DAY, written_ms=talk.now_ms + HOUR) == []
    assert finish(talk.read(), talk.now_ms + DAY) == ["go"]


def test_finish_can_be_asked_again_and_changes_nothing() -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant(call("c1"), stopReason="aborted")
    asked, unasked = talk.read(), talk.read()
    once = asked.session.finish(talk.now_ms + DAY)
    assert asked.session.finish(talk.now_ms + DAY) == once != []
    talk.user("on")
    for line in talk.lines[-1:]:
        assert asked.session.feed(line) == unasked.session.feed(line) == once


def test_an_empty_session_finishes_with_nothing() -> None:
    assert Session().finish(10**14) == []


@pytest.mark.parametrize(("takes", "same"), [(100 * SECOND, True), (119 * SECOND, False)])
def test_a_retry_that_the_file_shows_too_late_is_a_trace_of_its_own(takes: int, same: bool) -> None:
    """pi retries four seconds after an error; a live tail sends the trace two minutes after it."""
    talk = Transcript()
    talk.user("go")
    talk.assistant("", stopReason="error")
    failed_ms = talk.now_ms
    talk.wait(4 * SECOND)
    live = {record.id: record for record in talk.read().session.finish(failed_ms + 2 * MINUTE)}
    talk.assistant("fine", takes=takes)
    found = talk.read().finished
    imported = {record.id: record for record in [*found.runs, *found.traces]}
    assert (len(imported) == 2) is same
    if not same:
        assert live.items() <= imported.items(), "what was sent live must not change"


def test_an_answer_long_after_a_compaction_that_made_room_changes_no_trace() -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant("", stopReason="error", errorMessage="prompt is too long")
    talk.wait(2 * MINUTE)
    talk.compaction("so far", usage=usage())
    live = {record.id: record for record in talk.read().session.finish(talk.now_ms + 30 * SECOND)}
    talk.assistant("at last", takes=40 * SECOND)
    found = talk.read().finished
    imported = {record.id: record for record in [*found.runs, *found.traces]}
    assert live
    assert live.items() <= imported.items()
