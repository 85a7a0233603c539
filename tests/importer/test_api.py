"""The public API, and every example of docs/python.md."""

from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess
import sys
from datetime import UTC, datetime

import pandas as pd
import pytest

import importer
from importer.errors import UsageError
from tests.building import events
from tests.command import ROOT, SAMPLES
from tests.delivering import KEY
from tests.posthog_server import PostHogServer
from tests.session_writer import SessionWriter

PYTHON_MD = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", PYTHON_MD, re.DOTALL)
SETTINGS = importer.Settings()


@pytest.fixture(autouse=True)
def _own_folders(tmp_path_factory, monkeypatch):
    """The ledger and the cache of the test, not those of whoever runs it."""
    home = tmp_path_factory.mktemp("home")
    for name in ("HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(home))


@pytest.fixture(scope="module")
def files():
    return importer.find_sessions(SAMPLES)


@pytest.fixture(scope="module")
def sent():
    """The events of all samples by uuid, as they would be sent."""
    return {event["uuid"]: event for path in SAMPLES.rglob("*.jsonl") for event in events(path)}


def test_the_examples_of_the_document_print_what_it_says(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("TZ", "UTC")
    names = {}
    for code, expected in BLOCKS:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(code, "python.md", "exec"), names)
        lines = [line.rstrip() for line in printed.getvalue().splitlines()]
        assert lines == expected.splitlines(), code
    assert sum(bool(expected) for _, expected in BLOCKS) >= 5


def test_every_public_name_is_documented_and_has_an_example():
    for name in importer.__all__:
        documented = getattr(importer, name).__doc__
        assert documented, name
        if name not in ("Settings", "load_settings"):
            assert "Example:\n" in documented, name


def test_importing_it_imports_nothing_slow():
    code = "import importer, sys; print({'pandas', 'numpy', 'requests', 'rich'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT).strip() == "set()"


@pytest.mark.parametrize("first", ["importer.watch.tail", "importer.totals", "importer.api"])
def test_watch_and_totals_are_functions_whatever_was_imported_before(first):
    code = f"import {first}, importer; print(callable(importer.watch), callable(importer.totals))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True, cwd=ROOT).strip() == "True True"


def test_sessions_are_found_with_their_parents_first(files, monkeypatch):
    assert {file.path for file in files} == set(SAMPLES.rglob("*.jsonl"))
    monkeypatch.setenv("PI_CODING_AGENT_SESSION_DIR", str(SAMPLES))
    assert importer.find_sessions() == files
    monkeypatch.setenv("HOME", str(SAMPLES.parent))
    assert importer.find_sessions(f"~/{SAMPLES.name}") == files
    with pytest.raises(UsageError, match="does not exist"):
        importer.find_sessions(SAMPLES / "none")


def test_the_events_are_those_that_would_be_sent(files, sent):
    frame = importer.read_events(files, SETTINGS)
    assert set(frame["id"]) == set(sent)
    assert len(frame) == len(sent)
    assert str(frame["ended_at"].dtype) == "datetime64[ms, UTC]"
    assert set(frame["file"]) <= {str(file.path) for file in files}


def test_a_row_a_model_call_with_what_its_event_says(files, sent):
    calls = importer.read_generations(files, SETTINGS)
    generations = {uuid: e["properties"] for uuid, e in sent.items() if e["event"] == "$ai_generation"}
    assert set(calls["id"]) == set(generations)
    assert not calls["id"].duplicated().any()
    columns = {
        "model": "$ai_model",
        "provider": "$ai_provider",
        "stop_reason": "$ai_stop_reason",
        "is_error": "$ai_is_error",
        "latency_s": "$ai_latency",
        "trace_id": "$ai_trace_id",
        "project": "$ai_project_name",
        "agent": "$ai_agent_name",
        "input_tokens": "$ai_input_tokens",
        "total_tokens": "$ai_total_tokens",
        "cost_usd": "$ai_total_cost_usd",
    }
    for row in calls.to_dict("records"):
        own = generations[row["id"]]
        for column, name in columns.items():
            value = None if pd.isna(row[column]) else row[column]
            assert value == own[name], (column, row["id"])


def test_a_row_a_tool_call_with_what_its_event_says(files, sent):
    tools = importer.read_spans(files, SETTINGS)
    spans = {uuid: e["properties"] for uuid, e in sent.items() if e["event"] == "$ai_span"}
    spans = {uuid: own for uuid, own in spans.items() if own.get("$ai_span_type") != "agent"}
    assert set(tools["id"]) == set(spans)
    for row in tools.to_dict("records"):
        own = spans[row["id"]]
        assert (row["name"], row["parent_id"], row["is_error"]) == (
            own["$ai_span_name"],
            own["$ai_parent_id"],
            own["$ai_is_error"],
        )


def test_of_no_sessions_the_frames_are_empty_and_add_up_to_nothing():
    for frame in (importer.read_generations([], SETTINGS), importer.read_events([], SETTINGS)):
        assert len(frame) == 0
        assert importer.totals(frame)["cost_usd"].tolist() == [0.0]
        assert len(importer.totals(frame, by=["project", "day"])) == 0


def test_a_period_is_text_or_a_datetime(tmp_path):
    story = SessionWriter(tmp_path / "s.jsonl", start=datetime(2026, 11, 3, tzinfo=UTC))
    story.turn("go", "done")
    files = importer.find_sessions(tmp_path)
    for since, count in (("2026-11-03T00:00Z", 3), (datetime(2026, 11, 4, tzinfo=UTC), 0)):
        assert len(importer.make_plan(files, SETTINGS, since=since)) == count
    with pytest.raises(UsageError, match="--since"):
        importer.make_plan(files, SETTINGS, since="soon")


def test_a_plan_is_sent_once(files, tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with PostHogServer(KEY) as server:
        settings = importer.Settings(api_key=KEY, host=server.url)
        plan = importer.make_plan(files, settings)
        outcome = importer.backfill(plan, settings, state=tmp_path / "ledger.sqlite3")
        assert (outcome.delivered, outcome.left, outcome.failed) == (len(plan), 0, 0)
        assert plan.delivered.all()
        assert outcome.cost_usd == importer.totals(plan.frame)["cost_usd"].item()
        again = importer.make_plan(files, settings)
        assert importer.backfill(again, settings, state=tmp_path / "ledger.sqlite3").delivered == 0
        assert len(server.accepted) == len(plan)


def test_a_plan_is_written_to_a_file(files, tmp_path):
    seen = []
    plan = importer.make_plan(files, SETTINGS)
    outcome = importer.backfill(
        plan, SETTINGS, output=tmp_path / "events.jsonl", on_progress=lambda each: seen.append(each.delivered)
    )
    lines = (tmp_path / "events.jsonl").read_text(encoding="utf-8").splitlines()
    assert outcome.delivered == len(lines) == len(plan) == seen[-1]
    assert {json.loads(line)["uuid"] for line in lines} == set(importer.read_events(files, SETTINGS)["id"])


def test_without_a_key_nothing_is_sent(files):
    with pytest.raises(UsageError, match="API key"):
        importer.backfill(importer.make_plan(files, SETTINGS), SETTINGS)


def test_a_watcher_delivers_what_is_there_in_one_pass(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    story = SessionWriter(tmp_path / "s" / "s.jsonl", start=datetime.now(UTC))
    story.turn("go", "done")
    story.turn("on", "done")
    with PostHogServer(KEY) as server:
        settings = importer.Settings(api_key=KEY, host=server.url)
        importer.watch(settings, tmp_path / "s", state=tmp_path / "ledger.sqlite3", once=True, settle_s=10**6)
        assert len(server.accepted) == 4


def test_beside_posthogs_own_extension_a_program_must_say_that_it_sends(
    tmp_path, server_settings, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    agent = tmp_path / ".pi" / "agent"
    agent.mkdir(parents=True)
    (agent / "settings.json").write_text(json.dumps({"packages": ["npm:pi-posthog"]}))
    SessionWriter(tmp_path / "s.jsonl").turn("x", "y")
    server, settings = server_settings
    plan = importer.make_plan(importer.find_sessions(tmp_path / "s.jsonl"), settings)
    with pytest.raises(UsageError, match="counts twice"):
        importer.backfill(plan, settings)
    assert server.requests == []
    with pytest.raises(UsageError, match="counts twice"):
        importer.watch(settings, tmp_path, once=True)
    assert importer.backfill(plan, settings, beside_extension=True).delivered == 3
    importer.watch(settings, tmp_path, once=True, beside_extension=True)
    assert len(server.accepted) == 3


@pytest.fixture
def server_settings(monkeypatch):
    """A loopback server, and settings that send there."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with PostHogServer(KEY) as server:
        yield server, importer.Settings(api_key=KEY, host=server.url)
