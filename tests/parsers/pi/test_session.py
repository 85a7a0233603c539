"""Whole files, and what becomes of them when a line is not what pi writes: the good part is imported."""

import json
from typing import Any

import pytest

from parsers.pi.session import Session
from tests.parsers.build import IMAGE, Transcript, call, text, usage
from tests.parsers.reading import plain, read, said


def short() -> Transcript:
    """A prompt, a tool and an answer."""
    talk = Transcript()
    talk.user("go")
    talk.assistant("look", call("c1"))
    talk.result("c1")
    talk.assistant("done")
    return talk


GOOD = [plain(record) for record in short().read().finished.records]


def told(data: bytes) -> list[bytes]:
    return [plain(record) for record in read(data).finished.records]


def test_a_good_file_has_no_issues() -> None:
    assert short().read().issues == {}
    assert len(GOOD) == 5


def test_a_session_knows_what_a_person_recognizes_it_by() -> None:
    talk = Transcript()
    talk.user([text("first"), IMAGE, text("things")])
    talk.entry("session_info", name=" shop ")
    talk.user("last")
    session = talk.read().session
    assert session.header is not None
    assert (session.header.id, session.header.cwd, session.header.version) == ("s1", "/shop", 3)
    assert (session.name, session.prompts) == ("shop", 2)
    assert (session.first_prompt, session.last_prompt) == ("first\nthings", "last")
    talk.entry("session_info", name="")
    assert talk.read().session.name is None


def test_an_empty_file_is_an_empty_session() -> None:
    for data in (b"", b"\n\n \n"):
        found = read(data)
        assert (found.session.header, found.records, found.issues) == (None, [], {})


@pytest.mark.parametrize(
    ("line", "issue"),
    [
        (b"garbage", "not JSON, line skipped"),
        (b'{"type":"message","id":"x', "not JSON, line skipped"),
        (b"\0\0\0\0", "not JSON, line skipped"),
        (b'{"type":"label","label":"a\0b"}', "not JSON, line skipped"),
        (b"[" * 100_000, "not JSON, line skipped"),
        (b'{"recordType":"message"}', "no JSON object with a type, line skipped"),
        (b"[1, 2]", "no JSON object with a type, line skipped"),
        (b'{"type":"session","id":"s2"}', "another session's header, line skipped"),
        (b'{"type":"label","parentId":7}', "wrong type in parentId, field left out"),
    ],
)
@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
def test_a_bad_line_is_named_and_skipped_wherever_it_stands(line: bytes, issue: str, at: int) -> None:
    lines = short().lines
    lines.insert(at, line + b"\n")
    assert told(b"".join(lines)) == GOOD
    assert read(b"".join(lines)).issues == {issue: (at + 1, 1)}


def test_an_issue_is_counted_and_named_by_its_first_line() -> None:
    talk = short()
    talk.raw(b"garbage")
    talk.raw(b"")
    talk.raw(b"more garbage")
    assert talk.read().issues == {"not JSON, line skipped": (6, 2)}


def test_a_torn_last_line_is_left_for_later() -> None:
    talk = short()
    talk.lines[-1] = talk.lines[-1][:-30]
    found = talk.read()
    assert found.issues == {"torn last line, left for later": (5, 1)}
    assert [plain(record) for record in found.records] == GOOD[:2]


def test_a_last_line_that_lacks_only_its_newline_is_read() -> None:
    assert told(short().data[:-1]) == GOOD
    assert read(short().data[:-1]).issues == {}


def test_an_older_pi_appends_right_behind_a_torn_line_and_that_entry_counts() -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant("lost")
    torn = talk.lines.pop()[:60]
    talk.assistant("found")
    talk.lines[-1] = torn + talk.lines[-1]
    found = talk.read()
    (kept,) = found.generations
    assert b"found" in plain(kept)
    assert found.issues["torn line skipped, the entry behind it was read"] == (3, 1)


def test_pi_may_append_after_a_torn_line() -> None:
    talk = short()
    torn = b"".join(talk.lines[:3]) + talk.lines[3][:40] + b"\n" + b"".join(talk.lines[3:])
    assert told(torn) == GOOD


def test_invalid_utf8_spoils_nothing_else() -> None:
    talk = Transcript()
    talk.user("caf?")
    talk.lines[-1] = talk.lines[-1].replace(b"?", b"\xe9")
    talk.assistant("yes")
    (made,) = talk.read().generations
    assert made.user_prompt == "caf\ufffd"


def test_half_an_emoji_spoils_nothing_else() -> None:
    talk = Transcript()
    talk.user("cut \ud83d")
    talk.assistant("why", stopReason="error", errorMessage="\ude00")
    (made,) = talk.read().generations
    assert (made.user_prompt, made.error) == ("cut \ufffd", "\ufffd")


def test_a_line_of_50_mb_is_read_like_any_other() -> None:
    talk = Transcript()
    talk.user("x" * 50_000_000)
    talk.assistant("long")
    (made,) = talk.read().generations
    assert made.user_prompt is not None
    assert len(made.user_prompt) == 50_000_000


@pytest.mark.parametrize(
    ("path", "wrong", "issue"),
    [
        (("message", "usage", "input"), "100", "wrong type in message.usage.input, field left out"),
        (("message", "usage"), [], "wrong type in message.usage, field left out"),
        (("message", "timestamp"), {}, "wrong type in message.timestamp, field left out"),
        (("message", "model"), 5, "wrong type in message.model, field left out"),
        (("message", "content"), {}, "wrong type in message.content, field left out"),
        (("message", "stopReason"), False, "wrong type in message.stopReason, field left out"),
        (("message",), "hi", "wrong type in message, field left out"),
        (("timestamp",), [], "wrong type in timestamp, field left out"),
        (("id",), 5, "wrong type in id, field left out"),
    ],
)
def test_a_wrong_type_is_named_with_its_field_and_line(path: tuple[str, ...], wrong: Any, issue: str) -> None:
    talk = short()
    holder: Any = talk.entries[-1]
    for name in path[:-1]:
        holder = holder[name]
    holder[path[-1]] = wrong
    talk.lines[-1] = json.dumps(talk.entries[-1]).encode() + b"\n"
    found = talk.read().finished
    assert found.issues == {issue: (5, 1)}
    assert len(found.generations) == (1 if path == ("message",) else 2)


@pytest.mark.parametrize("number", ["1" + "0" * 400, "1" + "0" * 30, "-5", "1.5", "1e300", "1e999", "NaN"])
@pytest.mark.parametrize(
    "field", ["timestamp", "input", "totalTokens", "exitCode", "tokensBefore", "firstKeptEntryIndex"]
)
def test_a_number_out_of_range_stops_nothing(field: str, number: str) -> None:
    fields = {"timestamp": "5", "input": "5", "totalTokens": "5", "exitCode": "5", "tokensBefore": "5"}
    fields |= {"firstKeptEntryIndex": "5", field: number}
    talk = Transcript()
    talk.raw(
        '{{"type":"message","id":"a","message":{{"role":"assistant","timestamp":{timestamp},'
        '"usage":{{"input":{input},"output":3,"totalTokens":{totalTokens}}}}}}}'.format(**fields).encode()
    )
    talk.raw(
        '{{"type":"message","message":{{"role":"bashExecution","exitCode":{exitCode}}}}}'.format(
            **fields
        ).encode()
    )
    talk.raw(
        '{{"type":"compaction","id":"c","summary":"x","tokensBefore":{tokensBefore},'
        '"firstKeptEntryIndex":{firstKeptEntryIndex}}}'.format(**fields).encode()
    )
    found = talk.read()
    assert [record.name for record in found.records] == ["chat", "user_bash", "compaction"]
    assert found.generations[0].usage.output_tokens == 3


def test_entries_before_the_header_are_skipped() -> None:
    talk = short()
    assert read(talk.lines[1] + talk.data).issues == {"entry before the session header, line skipped": (1, 1)}
    assert told(talk.lines[1] + talk.data) == GOOD


def test_a_title_before_the_header_is_passed_over() -> None:
    data = b'{"type":"title","title":"my session"}      \n' + short().data
    assert (told(data), read(data).issues) == (GOOD, {})


def test_a_file_without_a_header_has_no_records() -> None:
    found = read(b"".join(short().lines[1:]))
    assert (found.session.header, found.records) == (None, [])


def test_the_same_header_again_is_no_issue() -> None:
    talk = short()
    assert read(talk.data + talk.lines[0]).issues == {}


@pytest.mark.parametrize("times", [2, 3])
def test_a_file_appended_to_itself_says_the_same(times: int) -> None:
    assert told(short().data * times) == GOOD


def test_where_a_parent_is_missing_the_models_input_begins_anew() -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant("done", at="nowhere")
    found = talk.read()
    assert [said(made.input.full) for made in found.generations if made.input] == [[]]
    assert [trace.name for trace in found.finished.traces] == ["go"]
    assert found.issues == {"parent entry missing, the model's input begins anew": (3, 1)}


def test_a_cycle_and_a_self_parent_are_cut_where_the_file_is_read() -> None:
    talk = Transcript()
    talk.user("go", at="e003")
    talk.assistant("1")
    talk.assistant("2", at="e003")
    found = talk.read()
    assert [said(made.input.full) for made in found.generations if made.input] == [["user: go"], []]
    assert found.issues == {"parent entry missing, the model's input begins anew": (2, 2)}


def test_an_entry_of_an_unknown_type_holds_the_branch_together() -> None:
    talk = Transcript()
    talk.user("go")
    strange = talk.entry("mood", mood="fine")
    talk.message("oracle", content="hm", at=strange)
    talk.assistant({"type": "hologram"}, "done", stopReason="sulking")
    found = talk.read().finished
    assert [said(made.input.full) for made in found.generations if made.input] == [["user: go"]]
    assert [trace.name for trace in found.traces] == ["go"]
    assert found.issues == {}


def test_a_clock_that_runs_backwards_loses_nothing() -> None:
    talk = Transcript()
    for prompt in ("one", "two", "three"):
        talk.user(prompt)
        talk.assistant(call("c" + prompt), takes=-5000)
        talk.result("c" + prompt, takes=-5000, usage=usage())
        talk.assistant("done", takes=-5000)
    for grouping in ("message", "session"):
        found = talk.read(grouping=grouping).finished
        assert len(found.generations) == 9
        assert len(found.spans) == 3
        assert all((record.latency_s or 0) >= 0 for record in found.records)
        assert {made.trace_id for made in found.generations} == {trace.id for trace in found.traces}


@pytest.mark.parametrize("field", ["parentSession", "branchedFrom"])
def test_entries_older_than_a_forks_header_were_copied(field: str) -> None:
    old = short()
    fork = Transcript(start_ms=old.now_ms + 1, **{field: "/old.jsonl"})
    fork.lines += old.lines[1:]
    fork.leaf = old.leaf
    fork.user("on")
    fork.assistant("here")
    found = fork.read().finished
    assert [made.copied for made in found.generations] == [True, True, False]
    assert [span.copied for span in found.spans] == [True]
    assert [trace.copied for trace in found.traces] == [True, False]


def test_old_entries_of_a_session_without_a_parent_were_not_copied() -> None:
    old = short()
    later = Transcript(start_ms=old.now_ms + 1)
    assert not any(record.copied for record in read(later.data + b"".join(old.lines[1:])).finished.records)


def test_a_session_can_be_fed_lines_without_their_newlines() -> None:
    session = Session()
    records = [record for line in short().lines for record in session.feed(line.rstrip(b"\n"))]
    assert [plain(record) for record in records] == GOOD[:3]
