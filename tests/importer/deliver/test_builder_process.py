"""Events built in another process are those that are built here, in their order, whatever happens to it."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from benchmarks.corpus import Shape, generate
from importer.deliver import builder_process
from importer.deliver.backfill import Backfill
from importer.deliver.builder_process import BuilderProcess
from importer.deliver.building import Builder, FileToBuild, note_unreadable
from importer.plan import pool
from importer.plan.plan import make_plan
from importer.selection import EVERYTHING
from importer.sessions.discovery import find_sessions
from importer.settings import Settings
from tests.building import NOW_MS
from tests.command import SAMPLES
from tests.session_writer import SessionWriter

CONTEXTS = ("full", "turn", "new")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    generate(folder, Shape(1_500_000, 6, 1.1, 1))
    return folder


@pytest.fixture
def method(method, monkeypatch):
    """The same way to start processes, and one builds however little there is to build."""
    monkeypatch.setattr(builder_process, "_FEW_BYTES", 0)
    monkeypatch.setattr(builder_process, "_FEW_BYTES_SPAWNED", 0)
    monkeypatch.setattr(builder_process, "usable_cores", lambda: 2)
    return method


def planned(path, settings):
    return make_plan(find_sessions([path]), settings, EVERYTHING, now_ms=NOW_MS, with_totals=True)


def files_of(plan):
    for index, wanted in plan.find_wanted():
        if index >= 0:
            yield FileToBuild(plan.files[index], wanted, plan.find_totals(index))


def built(builder, plan, on_event=lambda number: None):
    """Return all that a builder builds: the events' JSON, in their order."""
    found = []
    with builder:
        for file in builder.each(files_of(plan)):
            for event in builder.events(file):
                del file.wanted[event.uuid]
                encoded = event.trimmed(2**40)
                assert event.size_within(2**40) == len(encoded)
                found.append((event.event, event.uuid, event.end_ms, event.source, encoded))
                on_event(len(found))
            assert not file.wanted
    return found


@pytest.mark.parametrize("context", CONTEXTS)
def test_the_events_are_the_same_to_the_byte(method, context):
    settings = Settings(input_context=context, distinct_id="me@example.com")
    plan = planned(SAMPLES, settings)
    here = built(Builder(settings, NOW_MS), plan)
    assert len(here) == len(plan) - 1, "all but the one that says who the user is"
    assert built(BuilderProcess(settings, NOW_MS), plan) == here


def test_large_files_are_built_here_among_the_others(method, corpus, monkeypatch):
    settings = Settings()
    plan = planned(corpus, settings)
    here = built(Builder(settings, NOW_MS), plan)
    sizes = sorted(each.file.size for each in plan.files)
    monkeypatch.setattr(builder_process, "_MOST_BYTES", sizes[len(sizes) // 2])
    assert built(BuilderProcess(settings, NOW_MS), plan) == here


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("after", [0, 1, 300])
def test_where_the_process_dies_the_rest_is_built_here(method, corpus, after):
    settings = Settings()
    plan = planned(corpus, settings)
    here = built(Builder(settings, NOW_MS), plan)
    builder = BuilderProcess(settings, NOW_MS)

    def dies(number):
        if number == after:
            os.kill(builder._process.pid, signal.SIGKILL)

    with builder:
        dies(0)
        assert built(_Entered(builder), plan, dies) == here


class _Entered:
    """A builder that somebody has entered before."""

    def __init__(self, builder):
        self.each, self.events = builder.each, builder.events

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def test_without_memory_for_a_process_all_is_built_here(method, monkeypatch):
    def no_memory(*_, **__):
        raise OSError(12, "Cannot allocate memory")

    settings = Settings()
    plan = planned(SAMPLES, settings)
    monkeypatch.setattr(type(pool.process_context().Process()), "start", no_memory)
    assert built(BuilderProcess(settings, NOW_MS), plan) == built(Builder(settings, NOW_MS), plan)


def test_what_is_wrong_with_a_file_is_noted(method, tmp_path):
    for number in range(4):
        SessionWriter(tmp_path / f"{number}.jsonl", f"s{number}").turn(f"prompt {number}", "answer")
    settings = Settings()
    plan = planned(tmp_path, settings)
    (tmp_path / "1.jsonl").unlink()
    changed = (tmp_path / "2.jsonl").read_bytes()
    (tmp_path / "2.jsonl").write_bytes(changed.replace(b"prompt 2", b"prompt\n2"))
    work = Backfill(plan, settings)
    assert isinstance(work._make_builder(), BuilderProcess)
    work.write(tmp_path / "out.jsonl")
    gone, different = work.outcome.notes
    assert gone == note_unreadable(str(plan.files[1].file.path), FileNotFoundError(2, os.strerror(2)))
    assert "changed while it was read" in different
    assert work.outcome.files == 4
    assert 0 < work.outcome.left < len(plan)
    assert [len(file.issues) > 0 for file in plan.files] == [False, False, True, False]


def test_the_process_ends_with_its_use(method):
    with BuilderProcess(Settings(), NOW_MS) as builder:
        process = builder._process
        assert process.is_alive()
    assert not process.is_alive()


def test_few_sessions_are_built_here():
    assert type(builder_process.make_builder(Settings(), NOW_MS, 100_000)) is Builder
