"""The watcher is killed again and again while a session is written: nothing is lost, nothing comes twice."""

from __future__ import annotations

import random
import threading
import time

from tests.command import Command
from tests.posthog_server import Fault, PostHogServer
from tests.session_writer import SessionWriter, text, tool_call
from tests.watching import Watch, check, eventually, ids, imported, recently

KILLS = 50


def write_on(story: SessionWriter, stop: threading.Event, chance: random.Random) -> None:
    """Runs with tools, errors and retries, a line every few milliseconds, some of them torn for a moment."""
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


def test_killed_at_50_moments_it_delivers_what_one_clean_backfill_would(tmp_path):
    chance = random.Random(20261123)
    command, folder, stop = Command(tmp_path / "home"), tmp_path / "sessions", threading.Event()
    # The runs must not seem settled while they are being written, hence times that are still to come.
    story = SessionWriter(folder / "s.jsonl", start=recently(minutes=-60))
    with PostHogServer() as server:
        writer = threading.Thread(target=write_on, args=(story, stop, chance))
        writer.start()
        try:
            for kill in range(KILLS):
                # An answer that gets lost: taken, but not known to be.
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
            eventually(lambda: len(ids(server)) >= len(expected), "all that has ended")
        check(server, folder, now_ms=now_ms)
        assert len(expected) > KILLS
