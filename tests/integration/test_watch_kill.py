"""Kill the watcher again and again while a session is written: no event is lost, none arrives twice."""

from __future__ import annotations

import random
import threading
import time

from importer.ledger.locking import find_holder
from tests.command import Command
from tests.posthog_server import Fault, PostHogServer
from tests.session_writer import SessionWriter, text, tool_call
from tests.watching import Watch, check, eventually, ids, imported, recently

KILLS = 50


def write_on(story: SessionWriter, stop: threading.Event, chance: random.Random) -> None:
    """Write runs with tools, errors and retries; each line in two parts, some milliseconds apart."""
    number = 0
    append = story.raw

    def torn(data: bytes) -> None:
        cut = chance.randrange(len(data))
        append(data[:cut])
        stop.wait(chance.uniform(0, 0.01))
        append(data[cut:])

    story.raw = torn  # type: ignore[method-assign]
    while not stop.wait(chance.uniform(0, 0.15)):
        number += 1
        story.user(f"prompt {number}")
        if chance.random() < 0.2:
            story.assistant(stop="error", errorMessage="overloaded")
        calls = [f"call-{number}-{index}" for index in range(chance.randrange(3))]
        if calls:
            story.assistant(*(tool_call(call, "read", {"path": call}) for call in calls), stop="toolUse")
        for call in calls:
            story.result(call, "read", text("content"))
        story.assistant(text(f"answer {number}"))


def test_a_watcher_killed_at_50_moments_delivers_the_events_of_one_clean_backfill(tmp_path):
    chance = random.Random(20261123)
    command, folder, stop = Command(tmp_path / "home"), tmp_path / "sessions", threading.Event()
    # Times in the future: a run that is being written must not seem settled.
    story = SessionWriter(folder / "s.jsonl", start=recently(minutes=-60))
    with PostHogServer() as server:
        writer = threading.Thread(target=write_on, args=(story, stop, chance))
        writer.start()
        try:
            for kill in range(KILLS):
                # A lost answer: PostHog took the events, and the watcher does not know.
                server.faults = [Fault(reset="after")] if kill % 5 == 0 else []
                watch = Watch(command, server, folder, "-q")
                if kill % 2:
                    seen = len(server.requests)
                    eventually(lambda: len(server.requests) > seen, "a request")  # noqa: B023
                    stop.wait(chance.uniform(0, 0.1))
                else:
                    stop.wait(chance.uniform(0, 1.0))
                watch.kill()
        finally:
            stop.set()
            writer.join()
        server.faults = []
        now_ms = round(time.time() * 1000)
        expected = imported(folder, now_ms=now_ms)
        with Watch(command, server, folder):
            # The one before may have sent all; a signal to a Python that only starts would end it.
            eventually(lambda: find_holder(command.ledger), "the watcher has the ledger")
            eventually(lambda: len(ids(server)) >= len(expected), "all that has ended")
        check(server, folder, now_ms=now_ms)
        assert len(expected) > KILLS
