"""Each run is a record of its own, between its trace and its calls."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parsers.pi.session import Session
from parsers.records import AnyRecord, Run, Trace
from parsers.times import to_ms
from tests.parsers.build import DAY, HOUR, MINUTE, SECOND, Transcript, call, usage
from tests.parsers.pi.test_copies import copies, forked
from tests.parsers.pi.test_properties import examples
from tests.parsers.reading import Reading, plain
from tests.parsers.stories import Story, stories

groupings = pytest.mark.parametrize("grouping", ["message", "session"])


def assert_shares_add_up(found: Reading) -> None:
    """Check that the shares of each trace's runs add up to its time."""
    for trace in found.traces:
        own = [run for run in found.runs if run.trace_id == trace.id]
        assert sum(run.share_ms for run in own) == round((trace.latency_s or 0) * 1000)


def names(found: Reading) -> list[str]:
    return [run.name for run in found.runs]


def parents(found: Reading) -> list[str]:
    """The name of the run that each call hangs below; fails where it hangs below something else."""
    by_id = {run.id: run.name for run in found.runs}
    return [by_id[made.parent_id] for made in found.generations]


@groupings
def test_a_run_stands_between_its_trace_and_its_calls(grouping: str) -> None:
    talk = Transcript()
    talk.user("one\nin detail")
    talk.assistant(call("c1"), takes=3 * SECOND)
    talk.result("c1")
    talk.bash("ls")
    talk.assistant("did one")
    read = talk.read(grouping=grouping).finished
    (run,), (trace,) = read.runs, read.traces
    assert len({run.id, trace.id}) == 2
    assert (run.trace_id, run.window, run.copied) == (trace.id, 1, False)
    assert [made.parent_id for made in read.generations] == [run.id, run.id]
    assert {span.name: span.parent_id for span in read.spans} == {
        "bash": read.generations[0].id,
        "user_bash": run.id,
    }
    assert (run.name, run.from_prompt) == ("one", True)
    assert (run.end_ms, run.is_error, run.error) == (trace.end_ms, False, None)
    said = ("one\nin detail", "did one") if grouping == "session" else (None, None)
    assert (run.input, run.output) == said
    assert (run.trace_start_ms, run.trace_input) == (trace.start_ms, trace.input)
    assert [type(record) for record in read.records[-2:]] == [Run, Trace]
    assert_shares_add_up(read)


def test_in_session_grouping_each_prompt_has_a_run_that_is_told_at_the_next() -> None:
    talk = Transcript()
    talk.user("one")
    talk.assistant("1")
    talk.wait(MINUTE)
    talk.user("two")
    talk.assistant("2", stopReason="error", errorMessage="overloaded")
    read = talk.read(grouping="session")
    assert names(read) == ["one"]
    read = read.finished
    assert names(read) == parents(read) == ["one", "two"]
    assert [(run.input, run.error) for run in read.runs] == [("one", None), ("two", "overloaded")]
    assert len({run.trace_id for run in read.runs}) == 1
    assert_shares_add_up(read)


@pytest.mark.parametrize(("stop", "quiet_s"), [("stop", 20), ("error", 120)])
def test_in_session_grouping_a_run_is_told_before_its_window_is_over(stop: str, quiet_s: int) -> None:
    talk = Transcript()
    talk.user("one")
    talk.assistant("1", stopReason=stop)
    session = talk.read(grouping="session").session
    assert session.finish(talk.now_ms + quiet_s * SECOND - 1) == []
    told = session.finish(talk.now_ms + quiet_s * SECOND)
    assert [type(record) for record in told] == [Run]
    assert session.finish(talk.now_ms + 2 * HOUR)[:1] == told


@groupings
def test_a_late_compaction_is_a_run_without_a_prompt(grouping: str) -> None:
    talk = Transcript()
    talk.user("one")
    talk.assistant("1")
    talk.wait(5 * MINUTE)
    live = talk.read(grouping=grouping).session.finish(talk.now_ms)
    talk.compaction("so far", usage=usage())
    read = talk.read(grouping=grouping).finished
    assert names(read) == parents(read) == ["one", "compaction"]
    assert [run.from_prompt for run in read.runs] == [True, False]
    assert [record for record in live if isinstance(record, Run)] == read.runs[:1]
    assert_shares_add_up(read)


@groupings
def test_a_compaction_right_after_the_answer_is_in_its_run(grouping: str) -> None:
    talk = Transcript()
    talk.user("one")
    talk.assistant("1")
    talk.compaction("so far", usage=usage())
    read = talk.read(grouping=grouping).finished
    assert (names(read), parents(read)) == (["one"], ["one", "one"])
    assert read.runs[0].output == ("1" if grouping == "session" else None)


@groupings
def test_a_retry_after_an_error_goes_on_with_the_run(grouping: str) -> None:
    talk = Transcript()
    talk.user("one")
    talk.assistant(stopReason="error", errorMessage="overloaded")
    talk.wait(MINUTE)
    talk.assistant("1")
    read = talk.read(grouping=grouping).finished
    assert (names(read), parents(read)) == (["one"], ["one", "one"])
    assert (read.runs[0].is_error, read.runs[0].error) == (False, None)
    assert_shares_add_up(read)


@groupings
def test_a_retry_that_is_shown_too_late_is_another_run(grouping: str) -> None:
    talk = Transcript()
    talk.user("one")
    talk.assistant(stopReason="error", errorMessage="overloaded")
    live = talk.read(grouping=grouping).session.finish(talk.now_ms + 2 * MINUTE)
    talk.assistant("1", takes=2 * MINUTE)
    read = talk.read(grouping=grouping).finished
    assert names(read) == parents(read) == ["one", "chat"]
    assert [record for record in live if isinstance(record, Run)] == read.runs[:1]
    assert_shares_add_up(read)


@groupings
def test_a_queued_message_is_in_the_run_that_goes_on(grouping: str) -> None:
    talk = Transcript()
    talk.user("one")
    talk.assistant("1", takes=10 * SECOND)
    talk.queued("and then?", typed_ago=500)
    session = talk.read(grouping=grouping).session
    assert session.finish(talk.now_ms + 30 * MINUTE) == []
    talk.assistant("then that", takes=MINUTE)
    read = talk.read(grouping=grouping).finished
    assert (names(read), parents(read)) == (["one"], ["one", "one"])


def test_a_run_that_a_window_ends_in_is_one_in_each_window() -> None:
    talk = Transcript()
    talk.user("one")
    talk.assistant(call("c1"))
    talk.result("c1", takes=2 * HOUR)
    talk.assistant("1")
    read = talk.read(grouping="session").finished
    first, second = read.runs
    assert names(read) == parents(read) == ["one", "one"]
    assert first.id != second.id
    assert [run.trace_id for run in read.runs] == [trace.id for trace in read.traces]
    assert [run.window for run in read.runs] == [1, 2]
    assert_shares_add_up(read)
    (alone,) = talk.read(grouping="message").finished.runs
    assert alone.id not in {first.id, second.id}


def test_the_same_call_twice_in_a_damaged_file_is_in_one_run() -> None:
    talk = Transcript()
    talk.assistant("1")
    again = talk.lines[-1].replace(b'"id":"e001"', b'"id":"e002"')
    assert again != talk.lines[-1]
    talk.lines.append(again)
    told = talk.read(grouping="session").session.finish(talk.now_ms + DAY)
    assert [type(record) for record in told] == [Run, Trace]


@groupings
def test_a_fork_of_a_run_under_way_leaves_that_run_to_the_parent(grouping: str) -> None:
    talk = Transcript()
    talk.user("one")
    asked = talk.assistant(call("c1", "subagent"))
    fork = forked(talk, asked, after_ms=5)
    fork.user("two")
    fork.assistant("2")
    parent = talk.read(grouping=grouping)
    for found in (fork.read(grouping=grouping).finished, fork.read(grouping=grouping)):
        assert copies([*found.runs]) == []
        assert set(names(found)) <= {"two"}
        copied, own = found.generations
        assert copied.parent_id == parent.generations[0].parent_id in parent.session.open_traces()
        assert own.parent_id != copied.parent_id
    talk.result("c1")
    talk.assistant("1")
    (run,) = talk.read(grouping=grouping).finished.runs
    assert run.id == copied.parent_id


@groupings
def test_a_fork_that_goes_on_with_a_copied_run_has_a_run_of_its_own(grouping: str) -> None:
    talk = Transcript()
    talk.user("one")
    asked = talk.assistant(call("c1"))
    fork = forked(talk, asked, after_ms=5)
    fork.assistant("1")
    talk.result("c1")
    talk.assistant("1")
    found, (known,) = fork.read(grouping=grouping).finished, talk.read(grouping=grouping).finished.runs
    (run,) = found.runs
    assert not run.copied
    assert [made.parent_id for made in found.generations] == [known.id, run.id]
    assert run.id != known.id


@groupings
def test_a_fork_tells_a_copied_run_as_its_parent_does(grouping: str) -> None:
    talk = Transcript()
    talk.user("one")
    answer = talk.assistant("1")
    fork = forked(talk, answer)
    fork.user("two")
    fork.assistant("2")
    (known,) = talk.read(grouping=grouping).finished.runs
    copied, own = fork.read(grouping=grouping).finished.runs
    assert (copied.copied, own.copied) == (True, False)
    copied.copied = False
    assert copied == known
    assert_shares_add_up(fork.read(grouping=grouping).finished)


def test_a_run_of_another_branch_that_is_told_earlier_does_not_change_the_shares() -> None:
    talk = Transcript()
    talk.user("one")
    talk.assistant(call("c1"))
    talk.compaction("elsewhere", usage=usage(), parent=None)
    session = talk.read(grouping="session").session
    live = session.finish(talk.now_ms + MINUTE)
    assert [record.name for record in live] == ["compaction"]
    read = talk.read(grouping="session").finished
    assert names(read) == ["one", "compaction"]
    assert live == read.runs[1:]
    assert_shares_add_up(read)


def told_live(lines: list[bytes], grouping: Any, entries: list[dict[str, Any]]) -> list[AnyRecord]:
    """What is told by a session that is asked right before each line, and at last."""
    session, told, now_ms = Session(grouping), session_lines(lines), 0
    records: list[AnyRecord] = []
    for line, entry in zip(told, [None, *entries], strict=True):
        ms = (entry and to_ms(entry["timestamp"])) or now_ms
        if ms > now_ms:
            records += session.finish(ms - 1, now_ms)
        now_ms = max(now_ms, ms)
        records += session.feed(line)
    return records + session.finish(now_ms + 30 * DAY, now_ms)


def session_lines(lines: list[bytes]) -> list[bytes]:
    return [line for line in lines if line.strip()]


@examples(200)
@given(stories(steps=25), st.sampled_from(["message", "session"]))
def test_runs_and_traces_that_were_told_live_never_change(story: Story, grouping: str) -> None:
    later = {plain(record) for record in story.talk.read(grouping=grouping).finished.records}
    live = {plain(record) for record in told_live(story.talk.lines, grouping, story.talk.entries)}
    assert live == later
