from __future__ import annotations

import os
import signal
import threading

import pytest

from importer.commands import watch as module
from importer.commands.watch import WatchRequest, watch
from importer.deliver.retry import RetryPolicy
from importer.errors import DeliveryError
from importer.screen.console import Screen
from importer.settings import Settings
from tests.posthog_server import Fault, PostHogServer
from tests.session_writer import SessionWriter, text
from tests.watching import eventually, ids, recently

KEY = "phc_test"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with PostHogServer(KEY) as server:
        yield server


@pytest.fixture
def run(server, tmp_path, monkeypatch):
    """Watch a folder in this process, with short waits between the tries of one pass."""
    monkeypatch.setattr(module, "RetryPolicy", lambda: RetryPolicy(attempts=3, first_s=0.01))
    settings = Settings(api_key=KEY, host=server.url, content_days=None)

    def watched(**request):
        asked = WatchRequest([tmp_path / "sessions"], state=tmp_path / "ledger", **request)
        return watch(asked, settings, Screen())

    return watched


@pytest.fixture
def story(tmp_path):
    story = SessionWriter(tmp_path / "sessions" / "s.jsonl", start=recently())
    story.turn("one", "1")
    return story


def test_one_pass_gives_up_after_the_tries_of_a_backfill(run, server, story):
    server.faults = [Fault(503)] * 3
    with pytest.raises(DeliveryError, match="Gave up after 3 tries"):
        run(once=True)
    assert run(once=True) == 0
    assert len(ids(server)) == 3


def test_one_pass_ends_with_1_if_posthog_refused_an_event_for_good(run, server, story):
    server.max_ai_lane_event = 4000
    story.user("go")
    story.assistant(text("x"), responseId="r" * 5000)
    assert run(once=True) == 1
    assert len(ids(server)) == 5, "the others arrive"


def test_the_handlers_of_signals_are_restored_in_the_end(run, server, story):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    def end():
        eventually(lambda: ids(server), "the first event")
        os.kill(os.getpid(), signal.SIGTERM)

    killer = threading.Thread(target=end)
    killer.start()
    assert run() == 0
    killer.join()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_signal_during_the_history_interrupts_it_as_ctrl_c_does(run, server, story, capsys):
    server.faults = [Fault(503, {"Retry-After": "30"})]

    def end():
        eventually(lambda: server.requests, "the first try")
        os.kill(os.getpid(), signal.SIGTERM)

    killer = threading.Thread(target=end)
    killer.start()
    assert run(history=True) == 1
    killer.join()
    assert "Interrupted." in capsys.readouterr().err
