"""Session grouping: a trace is a stretch of a session without a long pause."""

from parsers.records import Run, Trace
from tests.parsers.build import HOUR, MINUTE, SECOND, Transcript, call, usage
from tests.parsers.reading import Reading


def grouped(talk: Transcript, minutes: int = 60) -> Reading:
    return talk.read(grouping="session", window_ms=minutes * MINUTE)


def windows(read: Reading) -> list[int]:
    return [made.window for made in read.generations]


def chat(talk: Transcript, prompt: str, *, after: int = 0) -> None:
    talk.wait(after)
    talk.user(prompt)
    talk.assistant(f"about {prompt}")


def test_runs_without_a_long_pause_share_a_trace() -> None:
    talk = Transcript()
    chat(talk, "one")
    chat(talk, "two", after=59 * MINUTE)
    chat(talk, "three", after=59 * MINUTE)
    read = grouped(talk)
    assert len({made.trace_id for made in read.generations}) == 1
    assert windows(read) == [1, 1, 1]
    assert [made.user_prompt for made in read.generations] == ["one", "two", "three"]


def test_a_long_pause_begins_another_window() -> None:
    talk = Transcript()
    chat(talk, "one")
    ended_ms = talk.now_ms
    chat(talk, "two", after=61 * MINUTE)
    chat(talk, "three", after=2 * HOUR)
    read = grouped(talk)
    assert windows(read) == [1, 2, 3]
    assert [(trace.name, trace.window) for trace in read.traces] == [("one", 1), ("two", 2)]
    assert read.traces[0].end_ms == ended_ms


def test_a_call_that_the_file_shows_after_the_pause_is_in_the_next_window() -> None:
    """A live tail has sent the window's trace by then; a run is one trace, whenever its calls end."""
    talk = Transcript()
    chat(talk, "one")
    talk.user("two")
    talk.assistant("took long", takes=2 * HOUR)
    chat(talk, "three", after=50 * MINUTE)
    assert windows(grouped(talk)) == [1, 2, 2]
    assert windows(talk.read(grouping="message")) == [1, 1, 1]


def test_the_pause_can_be_chosen() -> None:
    talk = Transcript()
    chat(talk, "one")
    chat(talk, "two", after=10 * MINUTE)
    assert windows(grouped(talk, minutes=5)) == [1, 2]
    assert windows(grouped(talk, minutes=15)) == [1, 1]


def test_a_window_is_no_trace_before_its_pause_is_over() -> None:
    talk = Transcript()
    chat(talk, "one")
    read = grouped(talk)
    assert read.session.finish(talk.now_ms + 19 * SECOND) == []
    (run,) = read.session.finish(talk.now_ms + 60 * MINUTE)
    assert isinstance(run, Run)
    same, trace = read.session.finish(talk.now_ms + 61 * MINUTE)
    assert isinstance(trace, Trace)
    assert same == run
    assert (trace.name, trace.input, trace.output) == ("one", "one", "about one")


def test_calls_left_open_are_told_with_their_window() -> None:
    talk = Transcript()
    talk.user("one")
    talk.assistant(call("c1", "lost"))
    read = grouped(talk)
    assert read.session.finish(talk.now_ms + HOUR) == []
    assert [record.name for record in read.session.finish(talk.now_ms + HOUR + SECOND)] == [
        "lost",
        "one",
        "one",
    ]


def test_spans_are_in_the_window_of_their_generation() -> None:
    talk = Transcript()
    chat(talk, "one")
    talk.wait(2 * HOUR)
    talk.user("two")
    talk.assistant(call("c1"))
    talk.result("c1")
    talk.bash("ls")
    read = grouped(talk)
    assert [(span.window, span.trace_id) for span in read.spans] == [(2, read.generations[1].trace_id)] * 2


def test_model_work_at_an_idle_agent_joins_the_window() -> None:
    talk = Transcript()
    chat(talk, "one")
    talk.wait(10 * MINUTE)
    talk.entry("usage", kind="cache_warm", usage=usage())
    chat(talk, "two", after=55 * MINUTE)
    assert windows(grouped(talk)) == [1, 1, 1]


def test_branches_share_the_windows_of_their_file() -> None:
    talk = Transcript()
    start = talk.user("one")
    talk.assistant("1")
    talk.wait(2 * HOUR)
    talk.assistant("2", at=start)
    assert windows(grouped(talk)) == [1, 2]


def test_what_a_fork_copied_is_in_windows_of_its_own() -> None:
    talk = Transcript(start_ms=Transcript().now_ms - HOUR)
    chat(talk, "one")
    fork = Transcript(parentSession="/old.jsonl")
    fork.lines += talk.lines[1:]
    fork.leaf = talk.leaf
    chat(fork, "two")
    read = grouped(fork)
    assert [made.copied for made in read.generations] == [True, False]
    assert windows(read) == [1, 1]
    assert [trace.copied for trace in read.finished.traces] == [True, False]
    assert read.generations[0].trace_id == grouped(talk).generations[0].trace_id


def test_windows_are_counted_with_message_grouping_too() -> None:
    talk = Transcript()
    chat(talk, "one")
    chat(talk, "two", after=59 * MINUTE)
    chat(talk, "three", after=61 * MINUTE)
    read = talk.read(grouping="message", window_ms=HOUR)
    assert windows(read) == [1, 1, 2]
    assert [trace.window for trace in read.finished.traces] == [1, 1, 2]


def test_a_run_is_never_torn_into_two_windows_with_message_grouping() -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant(call("c1"))
    talk.result("c1", takes=2 * HOUR)
    talk.assistant("done")
    assert windows(talk.read()) == [1, 1]
