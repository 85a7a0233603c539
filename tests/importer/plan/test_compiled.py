"""What the compiled parts count is what is counted without them, to the byte."""

from __future__ import annotations

import pytest

from importer.build.estimate import make_estimator
from importer.plan.counter import PURE, count_files
from importer.sessions import reading
from importer.sessions.discovery import find_sessions
from importer.settings import Settings
from parsers.counting import session
from parsers.counting.rows import ROW
from parsers.counting.session import PlainLines
from tests.fuzz import ROOT
from tests.parsers.build import Transcript, call

NOW_MS = 1_800_000_000_000
FOLDERS = [ROOT.parent / "sample_sessions", ROOT / "fixtures"]
SETTINGS = [
    Settings(),
    Settings(privacy_mode=True, distinct_id="a@b.c"),
    Settings(trace_grouping="session", max_attribute_length=50),
]


def counted(monkeypatch, files, settings, *, pure):
    monkeypatch.setenv(PURE, "1" if pure else "")
    return count_files(files, settings, make_estimator(settings), NOW_MS)


@pytest.mark.skipif(PlainLines is None, reason="no C compiler was there")
@pytest.mark.parametrize("settings", SETTINGS, ids=["default", "private", "session"])
def test_columns_are_the_same(monkeypatch, settings):
    files = find_sessions(FOLDERS).sessions
    assert len(files) > 60
    found = counted(monkeypatch, files, settings, pure=False)
    assert found == counted(monkeypatch, files, settings, pure=True)
    assert len(found.rows) > 30_000


def test_where_nothing_was_compiled_the_same_is_counted(monkeypatch):
    files = find_sessions(FOLDERS).sessions[:9]
    expected = counted(monkeypatch, files, Settings(), pure=True)
    monkeypatch.setattr(session, "PlainLines", None)
    assert counted(monkeypatch, files, Settings(), pure=False) == expected


@pytest.mark.parametrize("pure", [True, False])
@pytest.mark.parametrize("block", [1, 7, 100, 5000])
def test_the_size_of_a_block_makes_no_difference(monkeypatch, block, pure):
    files = find_sessions(FOLDERS).sessions[:12]
    whole = counted(monkeypatch, files, Settings(), pure=pure)
    monkeypatch.setattr(reading, "_BLOCK", block)
    assert counted(monkeypatch, files, Settings(), pure=pure) == whole


@pytest.mark.parametrize("block", [1, 3, 64])
@pytest.mark.parametrize("size", [0, 1, 5, 6, 11, 12, 40])
def test_blocks_are_whole_lines_up_to_the_size_that_was_found(monkeypatch, tmp_path, size, block):
    content = b"one\n\nthree, which is longer\nfour"
    path = tmp_path / "s.jsonl"
    path.write_bytes(b'{"type":"session","id":"s"}\n')
    file = find_sessions([path]).sessions[0]
    path.write_bytes(content)
    monkeypatch.setattr(reading, "_BLOCK", block)
    file = type(file)(path=path, size=size, mtime_ns=0, session_id="s")
    blocks = [bytes(block) for block in reading._blocks(file)]
    assert b"".join(blocks) == content[:size]
    assert all(block.endswith(b"\n") for block in blocks[:-1])


@pytest.mark.parametrize("pure", [True, False])
@pytest.mark.parametrize("number", [2**31, -(2**31) - 1, 2**70, -5, True])
def test_a_number_in_the_place_of_arguments_is_no_length(monkeypatch, tmp_path, number, pure):
    talk = Transcript()
    talk.user("go")
    talk.assistant(call("c1") | {"arguments": number}, usage={"input": "wrong"})
    talk.result("c1")
    path = tmp_path / "s.jsonl"
    path.write_bytes(talk.data)
    found = counted(monkeypatch, find_sessions([path]).sessions, Settings(), pure=pure)
    sizes = [row[10:13] for row in ROW.iter_unpack(found.rows)]
    assert len(sizes) == 4  # with the run and the trace
    assert all(0 < size < 100_000 for each in sizes for size in each)
