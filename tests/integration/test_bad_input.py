"""Damaged, foreign and odd files: the good part arrives, one line says what was skipped and where."""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta

import pytest

from tests.command import Command
from tests.posthog_server import PostHogServer
from tests.session_writer import START, SessionWriter, text, tool_call

AWAY = {"id": "ffff0001", "timestamp": "2025-03-01T10:00:30Z"}


def user(words, **fields):
    return {"type": "message", **AWAY, "message": {"role": "user", "content": words}, **fields}


def garbage(story):
    story.raw(b"this is not JSON\n")


def several_garbage_lines(story):
    for _ in range(3):
        story.raw(b'{"type":"message","id":\n')


def invalid_utf8(story):
    story.turn("caf\xe9", "y")
    raw = story.path.read_bytes().replace(b"caf\\u00e9", b"caf\xe9")
    story.path.write_bytes(raw)


def nul_bytes(story):
    story.raw(b"\0" * 4096 + b"\n")


def wrong_types(story):
    story.turn("odd", "y", model=7, stopReason=["stop"])


def wrong_types_in_usage(story):
    story.turn("odd", "y", usage={"input": "many", "output": 20, "cost": "free"})


def a_cycle(story):
    story.line(user("a", id="c1", parentId="c2"))
    story.line(user("b", id="c2", parentId="c1"))


def a_missing_parent(story):
    story.line(user("a", parentId="nowhere"))
    story.last = AWAY["id"]


def not_an_object(story):
    story.raw(b"[1, 2, 3]\n")


def another_header(story):
    story.line({"type": "session", "version": 3, "id": "other", "timestamp": "2025-03-01T11:00:00Z"})


SKIPPED = {
    garbage: (4, "not JSON, line skipped", 6),
    several_garbage_lines: (4, "not JSON, line skipped (and 2 more like it)", 6),
    nul_bytes: (4, "not JSON, line skipped", 6),
    wrong_types: (5, "wrong type in message.model, field left out", 9),
    wrong_types_in_usage: (5, "wrong type in message.usage.input, field left out", 9),
    a_cycle: (4, "parent entry missing, the model's input begins anew", 6),
    a_missing_parent: (4, "parent entry missing, the model's input begins anew", 6),
    not_an_object: (4, "no JSON object with a type, line skipped", 6),
    another_header: (4, "another session's header, line skipped", 6),
}


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """All damaged files, imported in one run: what the command said and what the server has."""
    folder = tmp_path_factory.mktemp("damaged")
    for day, damage in enumerate(SKIPPED):
        start = START + timedelta(days=day)
        story = SessionWriter(folder / "s" / f"{damage.__name__}.jsonl", damage.__name__, start=start)
        story.turn("before", "1")
        damage(story)
        story.turn("after", "2")
    with PostHogServer() as server:
        done = Command(folder / "home").send(server, folder / "s", "--json")
        assert (server.violations, server.dropped) == ([], [])
        return done, server.accepted


@pytest.mark.parametrize("damage", SKIPPED, ids=lambda damage: damage.__name__)
def test_the_rest_of_the_file_arrives_and_a_line_says_what_is_wrong_and_where(imported, damage):
    done, accepted = imported
    number, what, arrive = SKIPPED[damage]
    (said,) = [line for line in done.error_lines if f"{damage.__name__}.jsonl:" in line][:1]
    assert said.endswith(f"{damage.__name__}.jsonl:{number}: {what}")
    session = f"pi:{damage.__name__}"
    found = [e["properties"] for e in accepted if e["properties"]["$ai_session_id"] == session]
    assert len(found) == arrive
    assert {"before", "after"} <= {own.get("$ai_user_prompt") for own in found}


def test_damage_that_lost_nothing_deliverable_is_no_failure(imported):
    done, accepted = imported
    assert done.code == 0
    assert done.json["delivered"] == len(accepted)
    assert {(w["line"], w["count"]) for w in done.json["warnings"]} >= {(4, 3), (5, 1), (4, 1)}
    assert not [line for line in done.error_lines if not line.startswith("/")]


NO_SESSIONS = [b"", b"\n\n", b"hello\n", b'{"type":"transcript","id":"x"}\n', b"\0" * 100]


def test_what_is_no_session_is_named_and_left_out(command, server, tmp_path):
    SessionWriter(tmp_path / "s" / "good.jsonl").turn("x", "y")
    for number, content in enumerate(NO_SESSIONS):
        (tmp_path / "s" / f"bad-{number}.jsonl").write_bytes(content)
    done = command.send(server, tmp_path / "s", "--json")
    assert (done.code, done.json["delivered"], len(server.accepted)) == (0, 3, 3)
    reasons = {each["path"][-11:]: each["reason"] for each in done.json["skipped_files"]}
    assert reasons == {
        f"bad-{number}.jsonl": "not a session file" if content else "empty file"
        for number, content in enumerate(NO_SESSIONS)
    }
    one = command("preview", tmp_path / "s" / "good.jsonl", tmp_path / "s" / "bad-2.jsonl")
    assert one.error_lines == [f"{tmp_path}/s/bad-2.jsonl: not a session file, skipped"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs links")
def test_a_file_that_should_be_there_but_is_not_costs_the_exit_code(command, server, tmp_path):
    SessionWriter(tmp_path / "s" / "good.jsonl").turn("x", "y")
    os.symlink(tmp_path / "s" / "gone.jsonl", tmp_path / "s" / "link.jsonl")
    for run in (command.send(server, tmp_path / "s", "--json"), command("preview", tmp_path / "s", "--json")):
        assert run.code == 1
        (line,) = run.error_lines
        assert "link.jsonl: cannot be read" in line
    assert len(server.accepted) == 3


def test_a_torn_last_line_waits_until_it_is_whole(command, server, tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.turn("one", "1")
    whole = story.path.stat().st_size
    story.turn("two", "2")
    complete = story.path.read_bytes()
    for end in (whole + 1, len(complete) - 30):
        story.path.write_bytes(complete[:end])
        done = command.send(server, story.path, "--json")
        assert done.code == 0
        assert [line for line in done.error_lines if "torn last line, left for later" in line]
        assert len(server.accepted) == 3
    story.path.write_bytes(complete)
    assert command.send(server, story.path, "--json").json["delivered"] == 3
    assert server.duplicates == 0


def test_invalid_utf8_is_read_as_pi_reads_it(command, server, tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    invalid_utf8(story)
    done = command.send(server, story.path)
    assert (done.code, done.err) == (0, "")
    assert server.accepted[0]["properties"]["$ai_user_prompt"] == "caf\ufffd"


def test_a_line_of_50_mb_is_read_and_its_event_fits(command, server, tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.turn("before", "1")
    story.turn("p" * 50_000_000, "2")
    story.turn("after", "3")
    done = command.send(server, story.path, "--json")
    assert (done.code, done.err, done.json["delivered"]) == (0, "", 9)
    assert max(request.raw_size for request in server.requests) < 5 * 1024 * 1024


def test_a_clock_that_runs_backwards_costs_nothing(command, server, tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.turn("before", "1")
    story.wait(hours=-5)
    story.turn("earlier", "2")
    story.message("assistant", -20.0, content=[text("3")], provider="p", model="m", stopReason="stop")
    done = command.send(server, story.path)
    assert (done.code, done.err) == (0, "")
    found = [e["properties"] for e in server.accepted]
    assert sum("$ai_model" in own for own in found) == 3
    runs = [own for own in found if own.get("$ai_span_type") == "agent"]
    assert all(own["$ai_latency"] >= 0 for own in found if own not in runs)


def test_numbers_and_names_that_no_one_expects_arrive(command, server, tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl")
    story.user("count")
    story.assistant(tool_call("c", "calc", {"n": 10**40, "deep": [[[[[[[[[[1]]]]]]]]]]}), stop="toolUse")
    story.result("c", "calc", text("many"), details={"n": -(10**30)})
    story.raw(
        b'{"type":"message","id":"ffff0002","parentId":"00000003","timestamp":"2025-03-01T10:00:30Z","message":'
        b'{"role":"assistant","provider":"p","model":"m","content":[{"type":"text","text":"\\ud83d"}],"usage":'
        b'{"input":NaN,"output":1e999,"cost":{"total":Infinity}},"stopReason":"stop"}}\n'
    )
    done = command.send(server, story.path, "--json")
    assert done.code == 0
    assert done.json["delivered"] == len(server.accepted) == 5
    json.dumps(server.accepted, allow_nan=False)


def test_other_files_among_the_sessions_are_counted_not_listed(command, tmp_path):
    SessionWriter(tmp_path / "s" / "good.jsonl").turn("x", "y")
    for number in range(10):
        (tmp_path / "s" / f"{number}_transcript.jsonl").write_text('{"version":1,"recordType":"message"}\n')
    shown = command("preview", tmp_path / "s", "--json")
    assert shown.error_lines == ["10 files that hold no session skipped; --json lists them"]
    assert len(shown.json["skipped_files"]) == 10
