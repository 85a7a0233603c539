"""What was counted is remembered; that is never seen in a figure, only in the time that it takes."""

from __future__ import annotations

import os
import random
import sqlite3
import time

import pytest

from importer.plan import cached_counter
from importer.plan import counter as counting
from importer.plan.cache import Cache
from importer.plan.plan import make_plan
from importer.sessions.discovery import find_sessions
from importer.settings import Settings
from tests.building import NOW_MS, events_of, totals_of
from tests.command import SAMPLES, Command
from tests.session_writer import SessionWriter, text, tool_call

WORDS = ("the-name-of-it", "the-prompt-of-it", "the-answer-of-it", "the-output-of-it")
LONG_AGO_S = 1_750_000_000


def told(path, number=0):
    """A session with words that can be searched for, last written long ago."""
    name, prompt, answer, output = WORDS
    story = SessionWriter(path, f"s{number}")
    story.entry("session_info", name=name)
    story.user(prompt)
    story.assistant(tool_call("c", "bash", {"command": output}), stop="toolUse", responseId=f"{number}-1")
    story.result("c", "bash", text(output))
    story.assistant(text(answer), responseId=f"{number}-2")
    os.utime(path, (LONG_AGO_S, LONG_AGO_S))
    return path


@pytest.fixture
def counted(monkeypatch):
    """The names of the files that were counted, and not taken from the cache."""
    names = []
    count = counting.count_files

    def noted(files, *work):
        names.extend(file.path.name for file in files)
        return count(files, *work)

    monkeypatch.setattr(counting, "count_files", noted)
    monkeypatch.setattr(cached_counter, "count_files", noted)
    return names


def planned(folder, cache_path, now_ms=NOW_MS, **chosen):
    settings = Settings(**chosen)
    with Cache(cache_path, settings) as cache:
        return make_plan(find_sessions([folder]), settings, now_ms=now_ms, with_totals=True, cache=cache)


def facts(plan):
    files = [(f.file.path, f.name, f.first_prompt, f.subagent, f.issues) for f in plan.files]
    return files, plan.frame.to_dict("list"), totals_of(plan)


def test_the_second_plan_is_the_first_and_reads_no_file(tmp_path, counted):
    for path in SAMPLES.rglob("*.jsonl"):
        copy = tmp_path / "sessions" / path.relative_to(SAMPLES)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
        os.utime(copy, (LONG_AGO_S, LONG_AGO_S))
    first = facts(planned(tmp_path / "sessions", tmp_path / "cache"))
    assert sorted(counted) == sorted(path.name for path in SAMPLES.rglob("*.jsonl"))
    counted.clear()
    assert facts(planned(tmp_path / "sessions", tmp_path / "cache")) == first
    assert counted == []
    assert facts(planned(tmp_path / "sessions", None)) == first


@pytest.mark.parametrize("change", ["longer", "newer", "another head"])
def test_a_file_that_is_not_as_it_was_is_counted_again(tmp_path, counted, change):
    paths = [told(tmp_path / f"{number}.jsonl", number) for number in range(3)]
    planned(tmp_path, tmp_path / "cache")
    counted.clear()
    changed = paths[1]
    if change == "longer":
        changed.write_bytes(changed.read_bytes() + changed.read_bytes().splitlines(keepends=True)[-1])
    if change == "another head":
        changed.write_bytes(changed.read_bytes().replace(b'"s1"', b'"s9"', 1))
    os.utime(changed, (LONG_AGO_S, LONG_AGO_S + (change == "newer")))
    again = planned(tmp_path, tmp_path / "cache")
    assert counted == ["1.jsonl"]
    assert facts(again) == facts(planned(tmp_path, None))


def test_other_settings_are_counted_by_themselves(tmp_path, counted):
    told(tmp_path / "s.jsonl")
    planned(tmp_path, tmp_path / "cache")
    counted.clear()
    planned(tmp_path, tmp_path / "cache", trace_grouping="session")
    assert counted == ["s.jsonl"]


def test_what_may_still_change_by_itself_is_not_remembered(tmp_path, counted):
    going_on = SessionWriter(tmp_path / "going-on.jsonl", "g")
    going_on.user("one")
    os.utime(going_on.path, (LONG_AGO_S, LONG_AGO_S))
    crashed = SessionWriter(tmp_path / "crashed.jsonl", "c")
    crashed.user("one")
    crashed.assistant(tool_call("c", "run", {}), stop="toolUse")
    soon_ms = round(crashed.now.timestamp() * 1000) + 1000
    os.utime(crashed.path, (crashed.now.timestamp(),) * 2)
    just_now = told(tmp_path / "just-now.jsonl", 3)
    os.utime(just_now, (time.time(),) * 2)
    planned(tmp_path, tmp_path / "cache", now_ms=soon_ms)
    counted.clear()
    later = planned(tmp_path, tmp_path / "cache", now_ms=soon_ms + 25 * 3_600_000)
    assert {"crashed.jsonl", "just-now.jsonl"} <= set(counted)
    assert "trace" in {event.kind for event in events_of(later)}


def test_no_word_of_a_session_is_kept(tmp_path, counted):
    told(tmp_path / "sessions.jsonl")
    assert planned(tmp_path, tmp_path / "cache").files[0].name == WORDS[0]
    again = planned(tmp_path, tmp_path / "cache").files[0]
    assert counted == ["sessions.jsonl"]
    assert (again.name, again.first_prompt) == WORDS[:2]
    held = b"".join(path.read_bytes() for path in tmp_path.glob("cache*"))
    assert len(held) > 1000
    assert [word for word in WORDS if word.encode() in held] == []


def test_an_interrupted_preview_keeps_what_it_counted(tmp_path, counted, monkeypatch):
    for number in range(3):
        told(tmp_path / f"{number}.jsonl", number)
    monkeypatch.setattr(counting, "MOST_FILES", 1)  # in one part

    def interrupt(progress):
        if progress.files == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Cache(tmp_path / "cache", Settings()) as cache:
        make_plan(find_sessions([tmp_path]), Settings(), now_ms=NOW_MS, on_progress=interrupt, cache=cache)
    assert counted == ["0.jsonl", "1.jsonl"]
    planned(tmp_path, tmp_path / "cache")
    assert counted == ["0.jsonl", "1.jsonl", "2.jsonl"]


@pytest.mark.parametrize("seed", range(16))
def test_a_damaged_cache_changes_nothing(tmp_path, seed):
    chance = random.Random(seed)
    for number in range(5):
        told(tmp_path / f"{number}.jsonl", number)
    cache = tmp_path / "cache"
    first = facts(planned(tmp_path, cache))
    with sqlite3.connect(cache) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    data = bytearray(cache.read_bytes())
    if seed % 4 == 0:
        data = data[: chance.randrange(len(data))]
    for _ in range(chance.randrange(1, 200) if seed % 4 else 0):
        data[chance.randrange(len(data))] = chance.randrange(256)
    cache.write_bytes(data)
    for _ in range(3):
        assert facts(planned(tmp_path, cache)) == first


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path):
    told(tmp_path / "s.jsonl")
    (tmp_path / "file").write_text("no folder")
    assert len(planned(tmp_path, tmp_path / "file" / "cache")) == 5


def test_preview_shows_the_same_again_and_new_states(tmp_path):
    command = Command(tmp_path / "home")
    folder = tmp_path / "sessions"
    folder.mkdir()
    for number in range(3):
        told(folder / f"{number}.jsonl", number)
    for arguments in ((), ("--json",), ("--by", "day"), ("--privacy-mode",)):
        first, again = (command("preview", folder, *arguments) for _ in range(2))
        assert (first.code, first.out, first.err) == (again.code, again.out, again.err)
    (folder / "2.jsonl").unlink()
    assert command("preview", folder, "--json").json["sessions"] == 2
