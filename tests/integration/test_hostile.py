"""A session file is data: it opens no file, follows no link, and no word of it moves the cursor."""

from __future__ import annotations

import json
import os
import sys

import pytest

from importer.commands.request import GROUPINGS
from tests.posthog_server import Fault
from tests.session_writer import SessionWriter, text, tool_call
from tests.watching import NEVER_S, Watch, eventually, ids, once, ready, recently

ESCAPES = "\x1b]0;owned\x07\x1b[31m[red]x[/red][link=file:///etc]y\x9b31m\u202e\u2028\r\b\x7f"
OUTSIDE = "0195500b-0000-7000-8000-00000000000a"
needs_links = pytest.mark.skipif(sys.platform == "win32", reason="needs links and named pipes")


def escaping(folder, **options):
    """A session whose every name and word tries to take the terminal over."""
    name = "escape\x1b[31m\n[bold].jsonl" if os.name == "posix" else "escape.jsonl"
    story = SessionWriter(folder / name, f"id{ESCAPES}", cwd=f"/home/{ESCAPES}", **options)
    story.entry("session_info", name=f"name {ESCAPES}")
    story.user(f"{ESCAPES} prompt")
    story.assistant(tool_call("c", f"tool{ESCAPES}", {}), stop="toolUse", model=f"model{ESCAPES}")
    story.result("c", f"tool{ESCAPES}", text(ESCAPES))
    story.assistant(text("done"), model=f"model{ESCAPES}", provider=ESCAPES)
    story.raw(b"broken\n")
    story.line({"type": "message", "message": {"role": "system", "sections": {ESCAPES: 1}}})
    return story


def unprintable(written):
    return {character for character in written if not (character.isprintable() or character == "\n")}


@pytest.mark.parametrize("by", GROUPINGS)
def test_no_table_and_no_warning_obeys_what_a_file_says(command, tmp_path, by):
    escaping(tmp_path / "s")
    for columns in ("80", "200"):
        shown = command("preview", tmp_path / "s", "--by", by, COLUMNS=columns)
        assert shown.code == 0
        assert (unprintable(shown.out), unprintable(shown.err)) == (set(), set())
        assert len(shown.error_lines) == 2
        assert "broken" not in shown.err
        if by == "model" and columns == "200":
            assert "[red]x" in shown.out


def test_backfill_watch_and_status_write_no_escapes(command, server, tmp_path):
    escaping(tmp_path / "s", start=recently())
    server.faults = [Fault(500, body=ESCAPES.encode()), Fault(401, body=ESCAPES.encode())]
    runs = [
        command.send(server, tmp_path / "s"),
        command.send(server, tmp_path / "s"),
        once(command, server, tmp_path / "s", "-v"),
        command("status", tmp_path / "s"),
    ]
    assert {character for run in runs for character in unprintable(run.out + run.err)} == set()
    with Watch(command, server, tmp_path / "s", "--settle", NEVER_S, "-v") as watch:
        SessionWriter(tmp_path / "s" / "last.jsonl", "last", start=recently()).turn("x", "y")
        eventually(lambda: '"pi:last"' in json.dumps(server.accepted), "the session that came last")
        logged = watch.stop()
    assert unprintable(logged.err) == set()
    assert "followed" in logged.err


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Adak"])
def test_the_last_moments_of_the_calendar_are_shown_in_every_time_zone(command, tmp_path, zone):
    story = SessionWriter(tmp_path / "s.jsonl")
    for stamp in ("9999-12-31T23:59:59.999Z", "9999-12-29T23:59:59Z", "1970-01-01T00:00:00.001Z"):
        story.line({"type": "message", "timestamp": stamp, "message": {"role": "user", "content": stamp}})
        answer = {"role": "assistant", "content": "y", "model": "m", "provider": "p", "stopReason": "stop"}
        story.line({"type": "message", "timestamp": stamp, "message": answer})
    for by in ("session", "day"):
        assert command("preview", story.path, "--by", by, TZ=zone).code == 0


@needs_links
def test_no_path_in_a_file_is_opened(command, server, tmp_path):
    """A pipe blocks whoever opens it: the command would not end."""
    pipe = tmp_path / "2026-01-01T00-00-00-000Z_pipe.jsonl"
    os.mkfifo(pipe)
    story = SessionWriter(
        tmp_path / "s" / "child.jsonl", parentSession=str(pipe), cwd=str(pipe), branchedFrom=str(pipe)
    )
    story.entry("session_info", name="subagent-worker-0a1b2c3d-1")
    story.user(f"read @{pipe}")
    story.assistant(tool_call("c", "read", {"path": str(pipe)}), stop="toolUse")
    details = {"sessionFile": str(pipe), "results": [{"sessionFile": str(pipe)}], "fullOutputPath": str(pipe)}
    story.result("c", "read", {"type": "image", "data": f"blob:{pipe}", "path": str(pipe)}, details=details)
    done = command.send(server, tmp_path / "s", "--json")
    assert (done.code, done.json["failed"], done.json["delivered"] > 1) == (0, 0, True)
    assert once(command, server, tmp_path / "s").code == 0


PARENTS = (
    "a" * 5000 + ".jsonl",
    "/x/\0.jsonl",
    "../../s.jsonl",
    "/dev/zero.jsonl",
    "..\\..\\.jsonl",
    "0Z_" * 10**5,
)


@pytest.mark.parametrize("parent", PARENTS, ids=lambda parent: parent[:12].encode("unicode_escape").decode())
def test_any_text_can_be_the_name_of_a_parent(command, server, tmp_path, parent):
    story = SessionWriter(tmp_path / "s" / "child.jsonl", parentSession=parent)
    story.entry("session_info", name="subagent-worker-0a1b2c3d-1")
    story.turn("x", "y")
    assert command.send(server, tmp_path / "s").code == 0
    assert len(server.accepted) == 3


@needs_links
def test_a_link_out_of_the_folder_is_no_parent_either(command, server, tmp_path):
    parent = SessionWriter(tmp_path / "elsewhere" / "p.jsonl", OUTSIDE)
    parent.user("delegate")
    parent.assistant(tool_call("c", "subagent", {"task": "look around"}), stop="toolUse")
    child = SessionWriter(tmp_path / "s" / "child.jsonl", start=parent.now, parentSession="/x/p.jsonl")
    child.entry("session_info", name="subagent-worker-0a1b2c3d-1")
    child.turn("look around", "done")
    os.symlink(parent.path, tmp_path / "s" / "p.jsonl")
    assert command.send(server, tmp_path / "s").code == 0
    (trace,) = [event["properties"] for event in server.accepted if event["event"] == "$ai_trace"]
    assert "$ai_parent_id" not in trace


@needs_links
def test_watch_follows_no_link_and_waits_for_no_pipe(command, server, tmp_path):
    """Native observers tell of links and pipes that sweeps pass over."""
    outside = SessionWriter(tmp_path / "elsewhere" / "out.jsonl", OUTSIDE, start=recently())
    outside.turn("private", "words")
    folder = tmp_path / "s"
    folder.mkdir()
    with Watch(command, server, folder, "--settle", NEVER_S):
        os.symlink(outside.path, folder / "link.jsonl")
        os.symlink(outside.path.parent, folder / "folder")
        os.mkfifo(folder / "pipe.jsonl")
        ready(server, folder)
        outside.turn("more", "words")
        SessionWriter(folder / "last.jsonl", "last", start=recently()).turn("x", "y")
        eventually(lambda: len(ids(server, "generation")) == 3, "the session that came last")
    assert OUTSIDE not in json.dumps(server.accepted)


def test_json_holds_no_character_that_a_terminal_obeys(command, tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl", cwd="/shop\x9b31m")
    story.turn("prompt \x7f \x85 \x9b2J \u00e9", "answer")
    shown = command("preview", story.path, "--json")
    assert not {chr(code) for code in (0x7F, *range(0x80, 0xA0))} & set(shown.out)
    assert shown.json["groups"][0]["first_prompt"] == "prompt \x7f \x85 \x9b2J \u00e9"
