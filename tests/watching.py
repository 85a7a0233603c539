"""Runs `pi2posthog watch` against the loopback server, and compares what came with a clean backfill."""

from __future__ import annotations

import signal
import subprocess
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from importer.deliver.backfill import Backfill
from importer.plan.plan import make_plan
from importer.sessions.discovery import find_sessions
from importer.settings import Settings
from tests.building import NOW_MS
from tests.command import Command, Finished, finish
from tests.posthog_server import PostHogServer
from tests.session_writer import SessionWriter

NEVER_S = 10**9  # for --settle: a trace is sent when the next run begins
_PATIENCE_S = 120


def eventually(condition: Callable[[], object], what: str = "", timeout_s: float = _PATIENCE_S) -> None:
    """Wait until a condition holds; fail with ``what`` after ``timeout_s`` seconds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"did not happen within {timeout_s} s: {what}"
        time.sleep(0.005)


def recently(**ago: float) -> datetime:
    """Return a time less than a day ago, which `watch` takes by default; 30 minutes ago unless told."""
    return datetime.now(UTC) - timedelta(**(ago or {"minutes": 30}))


class Watch:
    """A watcher process that runs as long as the block and must end with exit code 0 after it."""

    def __init__(
        self, command: Command, server: PostHogServer, *arguments: object, **environment: str
    ) -> None:
        self._finished: Finished | None = None
        self.process: subprocess.Popen[str] = command.start(
            "watch", *arguments, **(command.destination(server) | environment)
        )

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            finished = self.stop()
            assert finished.code == 0, finished.err
        self.kill()

    def stop(self, number: int = signal.SIGTERM) -> Finished:
        """End it with a signal, as a user does."""
        if self._finished is None:
            self.process.send_signal(number)
            self._finished = finish(self.process)
        return self._finished

    def kill(self) -> None:
        """End it with SIGKILL, as a crash does."""
        if self._finished is None:
            self.process.kill()
            self.process.communicate()


def ready(server: PostHogServer, folder: Path) -> None:
    """Wait until the watcher of a folder has started and delivers what is new."""
    for number in (1, 2):
        SessionWriter(folder / f"ready-{number}.jsonl", start=recently(minutes=number)).turn("ready?", "yes")
        eventually(lambda: len(ids(server, "generation")) >= number, "the watcher's start")  # noqa: B023


def once(command: Command, server: PostHogServer, *arguments: object, **environment: str) -> Finished:
    """Run one pass of the watcher."""
    return command("watch", "--once", *arguments, **(command.destination(server) | environment))


def ids(server: PostHogServer, kind: str = "") -> list[str]:
    """List the ids of the events that the server took, in their order: of one kind, or of all."""
    with server.lock:
        return [event["uuid"] for event in server.accepted if not kind or event["event"] == f"$ai_{kind}"]


def sent(server: PostHogServer) -> dict[str, bytes]:
    """Return the bytes of every event that the server took, by id; fail if an id came with two versions."""
    bytes_of: dict[str, bytes] = {}
    for request in server.requests:
        if request.status not in (200, None) or not request.uuids:
            continue  # None: it was taken, but its answer got lost
        body = msgspec.json.decode(zlib.decompress(request.packed, wbits=31), type=dict[str, msgspec.Raw])
        for raw in msgspec.json.decode(body["batch"], type=list[msgspec.Raw]):
            uuid = msgspec.json.decode(raw, type=dict[str, Any])["uuid"]
            assert bytes_of.setdefault(uuid, bytes(raw)) == bytes(raw), f"{uuid} came with two envelopes"
    return bytes_of


def imported(*paths: Path, now_ms: int = NOW_MS, **settings: Any) -> dict[str, bytes]:
    """Return the bytes of every event of a clean backfill, by id and in its order."""
    chosen = Settings(**{"content_days": None} | settings)
    plan = make_plan(find_sessions(paths), chosen, now_ms=now_ms, with_totals=True)
    output = paths[0].with_name(paths[0].name + ".events")
    Backfill(plan, chosen).write(output)
    lines = output.read_bytes().splitlines()
    output.unlink()
    return {msgspec.json.decode(line)["uuid"]: line for line in lines}


def check(server: PostHogServer, *paths: Path, **settings: Any) -> None:
    """Fail unless the server took exactly the events of a clean backfill, byte for byte."""
    assert server.violations == []
    assert server.dropped == []
    there, expected = sent(server), imported(*paths, **settings)
    assert there.keys() == expected.keys()
    assert [uuid for uuid in there if there[uuid] != expected[uuid]] == []
