"""The titles of a session, read again from their lines, are those that reading all of it gives."""

from __future__ import annotations

import json

import pytest

from importer.sessions.discovery import find_sessions
from importer.sessions.session_file import SessionFile
from importer.sessions.titles import read_titles, titles_of
from tests.command import SAMPLES
from tests.session_writer import SessionWriter

HEADER = {"type": "session", "id": "s", "version": 3, "timestamp": "2026-01-02T03:04:05.000Z", "cwd": "/w"}


def user(content, **fields):
    return {
        "type": "message",
        "id": "u",
        "parentId": None,
        "message": {"role": "user", "content": content},
    } | fields


def text(value):
    return {"type": "text", "text": value}


def read(file: SessionFile):
    session = file.agent.parser("message", 0)
    for line in file.path.read_bytes().splitlines(keepends=True):
        session.feed(line)
    return session


@pytest.mark.parametrize("file", find_sessions([SAMPLES]).sessions, ids=lambda file: file.path.name)
def test_a_recorded_session_has_the_titles_that_reading_it_gives(file):
    session = read(file)
    assert read_titles(file, session.words_at) == titles_of(session) == (session.name, session.first_prompt)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([HEADER], (None, None)),
        ([HEADER | {"title": " named "}, user("go")], ("named", "go")),
        ([{"type": "title", "title": "before"}, HEADER, user("go")], ("before", "go")),
        ([{"type": "title", "title": None}, HEADER | {"title": "t"}], ("t", None)),
        ([HEADER, {"type": "session_info", "id": "i", "parentId": None, "name": " x\n"}], ("x", None)),
        ([HEADER | {"title": "t"}, {"type": "session_info", "id": "i", "parentId": None}], (None, None)),
        (
            [HEADER, user([text("a"), {"type": "image"}, text("b")])],
            (None, "a\nb"),
        ),
        ([HEADER, user([{"type": "text"}, text("b")])], (None, "\nb")),
        ([HEADER, user([text(7), text("b")])], (None, "\nb")),
        ([HEADER, user(7)], (None, "")),
        ([HEADER, user(None)], (None, "")),
        ([HEADER | {"title": 7}, user("go")], (None, "go")),
        ([HEADER, user("long " * 5000)], (None, ("long " * 5000)[:10_000])),
    ],
)
def test_lines_of_any_kind_have_the_titles_that_reading_them_gives(tmp_path, entries, expected):
    path = tmp_path / "s.jsonl"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    (file,) = find_sessions([path]).sessions
    session = read(file)
    assert read_titles(file, session.words_at) == titles_of(session) == expected


def test_words_behind_a_torn_line(tmp_path):
    path = tmp_path / "s.jsonl"
    path.write_text(json.dumps(HEADER) + '\n{"type":"mess' + json.dumps(user("go")) + "\n")
    (file,) = find_sessions([path]).sessions
    session = read(file)
    assert read_titles(file, session.words_at) == titles_of(session) == (None, "go")


def test_a_file_that_is_gone_has_no_titles(tmp_path):
    SessionWriter(tmp_path / "s.jsonl", "s").turn("go", "done")
    (file,) = find_sessions([tmp_path]).sessions
    session = read(file)
    file.path.unlink()
    assert read_titles(file, session.words_at) == (None, None)
