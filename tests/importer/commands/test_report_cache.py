"""Reports that are kept in the cache."""

from __future__ import annotations

import sqlite3
import time

import pytest

from importer.commands.findings import collect_findings, findings_json
from importer.commands.report_cache import load_report, save_report
from importer.commands.request import GROUPINGS
from importer.plan.cache import Cache
from importer.plan.plan import make_plan
from importer.plan.report import make_report
from importer.plan.rows import AT_ONCE, json_parts
from importer.selection import EVERYTHING
from importer.sessions.discovery import find_sessions
from importer.settings import Settings
from tests.building import NOW_MS
from tests.command import SAMPLES
from tests.session_writer import SessionWriter

KEY = b"key"


def seen(found, settings, by):
    plan = make_plan(found, settings, now_ms=NOW_MS)
    return make_report(plan, settings, by, EVERYTHING) | findings_json(plan), collect_findings(plan), plan


def text(figures):
    return b"".join(json_parts(figures))


@pytest.fixture
def cache(tmp_path):
    with Cache(tmp_path / "cache.sqlite3", Settings()) as cache:
        yield cache


@pytest.mark.parametrize("private", [False, True])
@pytest.mark.parametrize("by", GROUPINGS)
def test_a_report_is_loaded_as_it_was_saved(cache, by, private):
    found = find_sessions([SAMPLES])
    figures, findings, plan = seen(found, Settings(privacy_mode=private), by)
    save_report(cache, KEY, figures, findings, plan, found)
    again = load_report(cache, KEY, found)
    assert again is not None
    assert text(again[0]) == text(figures)
    assert again[1] == findings
    assert load_report(cache, b"another", found) is None


def test_a_report_is_true_until_an_event_is_too_old_for_its_content(tmp_path, cache, monkeypatch):
    story = SessionWriter(tmp_path / "s" / "s.jsonl")
    story.turn("one", "answer")
    settings, found = Settings(content_days=30), find_sessions([tmp_path / "s"])
    made_ms = round(story.now.timestamp() * 1000) + 100_000
    plan = make_plan(found, settings, now_ms=made_ms)
    figures = make_report(plan, settings, "session", EVERYTHING) | findings_json(plan)
    save_report(cache, KEY, figures, collect_findings(plan), plan, found)
    for ms, is_true in (
        (made_ms - 1, False),
        (made_ms, True),
        (plan.lasts_until_ms(), True),
        (plan.lasts_until_ms() + 1, False),
    ):
        monkeypatch.setattr(time, "time", lambda ms=ms: ms / 1000)
        assert (load_report(cache, KEY, found) is not None) == is_true


def test_very_many_sessions_are_loaded_in_their_order(tmp_path, cache):
    for number in range(AT_ONCE + 3):
        SessionWriter(tmp_path / "s" / f"{number}.jsonl", str(number)).user(f"prompt {number}")
    found = find_sessions([tmp_path / "s"])
    figures, findings, plan = seen(found, Settings(), "session")
    assert {row["first_prompt"] for row in figures["groups"]} == {f"prompt {n}" for n in range(AT_ONCE + 3)}
    save_report(cache, KEY, figures, findings, plan, found)
    again = load_report(cache, KEY, found)
    assert again is not None
    assert text(again[0]) == text(figures)


def test_no_name_and_no_prompt_is_saved(tmp_path):
    SessionWriter(tmp_path / "s.jsonl").turn("a secret plan", "well hidden")
    found = find_sessions([tmp_path / "s.jsonl"])
    figures, findings, plan = seen(found, Settings(), "session")
    with Cache(tmp_path / "cache.sqlite3", Settings()) as cache:
        save_report(cache, KEY, figures, findings, plan, found)
        again = load_report(cache, KEY, found)
        assert again is not None
        assert b"a secret plan" in text(again[0])
    for path in tmp_path.glob("cache.sqlite3*"):
        assert b"secret" not in path.read_bytes()


@pytest.mark.parametrize("damage", ["DELETE FROM shown WHERE part = 1", "UPDATE shown SET data = x'00'"])
def test_a_damaged_report_is_not_loaded(tmp_path, damage):
    found = find_sessions([SAMPLES])
    figures, findings, plan = seen(found, Settings(), "session")
    with Cache(tmp_path / "cache.sqlite3", Settings()) as cache:
        save_report(cache, KEY, figures, findings, plan, found)
    with sqlite3.connect(tmp_path / "cache.sqlite3") as database:
        database.execute(damage)
    database.close()
    with Cache(tmp_path / "cache.sqlite3", Settings()) as cache:
        assert load_report(cache, KEY, found) is None
