"""What came out at the other end: events as bytes and as dictionaries, of one import."""

import json
import os
import signal
import subprocess
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from tests import building
from tests.agent.stage import Stage
from tests.command import Command, Finished, finish
from tests.posthog_server import PostHogServer

CLOCKS = Path(__file__).with_name("clocks")
Event = dict[str, Any]


class Importer(Command):
    """`python -m importer`, whose clock may go ahead: a run's trace is sent once it was quiet for a while."""

    def environment(self, **more: str) -> dict[str, str]:
        environment = super().environment(**more)
        return environment | {"PYTHONPATH": f"{CLOCKS}{os.pathsep}{environment['PYTHONPATH']}"}

    def backfill(self, server: PostHogServer, folder: Path, *, hours_later: float = 0) -> Event:
        """Send a folder's sessions; the figures of `--json`."""
        done = self.send(server, folder, "--json", CLOCK_AHEAD_S=str(hours_later * 3600))
        assert done.code == 0, done.err
        return done.json

    def stop(self, process: subprocess.Popen[str]) -> Finished:
        """Ask a command to end, as a service manager does."""
        process.send_signal(signal.SIGTERM)
        return finish(process)


def raw_events(server: PostHogServer) -> dict[str, bytes]:
    """The bytes of every event that the server took, by uuid."""
    found: dict[str, bytes] = {}
    for request in server.requests:
        if request.status == 200:
            body = zlib.decompress(request.packed, wbits=31)
            batch = msgspec.json.decode(body, type=dict[str, msgspec.Raw])["batch"]
            for uuid, raw in zip(
                request.uuids, msgspec.json.decode(batch, type=list[msgspec.Raw]), strict=True
            ):
                found[uuid] = bytes(raw)
    return found


def of_kind(events: Iterable[Event], kind: str) -> list[Event]:
    """The properties of the `generation`, `span`, `run` or `trace` events."""
    return [event["properties"] for event in events if kind_of(event) == kind]


def kind_of(event: Event) -> str:
    """What an event is of: a `generation`, a `span`, a `run` (the span of one) or a `trace`."""
    is_run = event["properties"].get("$ai_span_type") == "agent"
    return "run" if is_run else str(event["event"]).removeprefix("$ai_")


def in_order(stage: Stage, kind: str) -> list[Event]:
    """The properties of a story's events of a kind, copies left out, in the order of the files' lines."""
    events: dict[str, Event] = {}
    for path in stage.sandbox.session_files():
        for event in building.events(path):
            events.setdefault(event["uuid"], event)
    return of_kind(events.values(), kind)


def entries(path: Path) -> list[Event]:
    """The lines of a session file."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def assert_clean(server: PostHogServer) -> None:
    """The client did nothing that no client should do."""
    assert (server.violations, server.dropped, server.duplicates) == ([], [], 0)


def total(calls: Iterable[Event], name: str) -> Any:
    """The sum of a property."""
    return sum(call[name] for call in calls)
