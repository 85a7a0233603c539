"""A watcher in this process, with a fake sender that takes as many events as a test allows."""

from __future__ import annotations

import time

from importer.sessions.sources import Source
from importer.settings import Settings
from importer.watch.watcher import Watcher, WatchOptions
from tests.session_writer import SessionWriter

NEVER_MS = 10**12


def write_session(path, runs=1, **header):
    """Write a session of some runs with a prompt and an answer each; return its writer."""
    story = SessionWriter(path, header.pop("session_id", path.stem), **header)
    for number in range(runs):
        story.turn(f"{path.stem} {number}", "answer")
    return story


class FakeSender:
    """A fake sender: takes ``capacity`` events until :meth:`deliver` marks them as delivered."""

    identified_ms = 1_795_446_000_000

    def __init__(self, capacity=10**6):
        self.capacity = capacity
        self.taken = {}
        self.done = set()
        self.refusals = 0

    @property
    def waiting(self):
        return self.taken.keys() - self.done

    def deliver(self):
        self.done |= self.taken.keys()

    def offer(self, event, source_bytes):
        if event.uuid not in self.waiting and len(self.waiting) >= self.capacity:
            self.refusals += 1
            return False
        assert event.uuid not in self.done, "sent twice"
        self.taken.setdefault(event.uuid, event)
        return True

    def has_room(self, source_bytes):
        return len(self.waiting) <= self.capacity // 2

    def is_pending(self, uuid):
        return uuid in self.waiting

    def find_delivered(self, uuids):
        return self.done & set(uuids)

    def drain(self, timeout_s):
        self.deliver()
        return True

    def check(self):
        pass


class Rig:
    """A watcher, the events it queued and the lines it said.

    `run` takes a script: a generator that yields once a tick and stops the watcher when it ends.
    """

    def __init__(self, *paths, capacity=10**6, since_ms=None, settle_ms=NEVER_MS, **settings):
        self.sender = FakeSender(capacity)
        self.said = []
        options = WatchOptions(since_ms, settle_ms)
        chosen = Settings(**{"content_days": None} | settings)
        self.watcher = Watcher(Source(paths), chosen, options, self.sender, self.said.append)

    def run(self, script):
        steps, deadline = script(), time.monotonic() + 60

        def tick():
            assert time.monotonic() < deadline, "the script did not come to its end"
            if next(steps, self) is self:
                self.watcher.stop()

        self.watcher.run(tick)

    def pass_once(self):
        self.watcher.run_once()
        return self

    def kinds(self):
        return [event.event.removeprefix("$ai_") for event in self.sender.taken.values()]

    def sources(self):
        return {event.source for event in self.sender.taken.values()}
