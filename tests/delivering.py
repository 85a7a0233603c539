"""What the tests of delivery share: plain envelopes, a clock that only sleeping moves, and ways to send."""

from __future__ import annotations

import json
import time
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from importer.build.trimming import EVENT_LIMIT
from importer.deliver.batching import Counters
from importer.deliver.delivery import Delivery
from tests.posthog_server import PostHogServer, Request

KEY = "phc_test"
HOUR_MS = 3_600_000
PROMPT = "a secret prompt"


@dataclass(slots=True)
class SimpleEnvelope:
    uuid: str
    event: str
    end_ms: int
    source: str
    padding: int = 0
    least: int = 0  # cannot be trimmed under this

    def _json(self, padding: int) -> bytes:
        when = datetime.fromtimestamp(self.end_ms / 1000, UTC).isoformat(timespec="milliseconds")
        event = {"event": self.event, "distinct_id": "d", "uuid": self.uuid, "timestamp": when}
        return json.dumps({**event, "properties": {"$ai_input": PROMPT, "x": "x" * padding}}).encode()

    @property
    def size(self) -> int:
        return len(self._json(0)) + self.padding

    def encode(self) -> bytes:
        return self._json(self.padding)

    def size_within(self, limit: int) -> int:
        return len(self.trimmed(limit))

    def trimmed(self, limit: int) -> bytes:
        room = max(limit, self.least) - len(self._json(0))
        return self._json(max(0, min(self.padding, room)))

    def pieces(self, limit: int) -> list[bytes]:
        whole = self.encode() if limit == EVENT_LIMIT else self.trimmed(limit)
        return [whole[:100], whole[100:]]


def envelope(
    age_ms: int = 0, *, size: int = 0, event: str = "$ai_generation", least: int = 0
) -> SimpleEnvelope:
    made = SimpleEnvelope(
        str(uuid.uuid4()), event, int(time.time() * 1000) - age_ms, "/home/me/s.jsonl", 0, least
    )
    made.padding = max(0, size - made.size)
    return made


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self, now: float | None = None) -> None:
        self.now = time.time() if now is None else now
        self.slept = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= 1, "a longer sleep cannot be interrupted within a second"
        self.now += seconds
        self.slept += seconds


def delivery(server: PostHogServer, clock: Clock | None = None, **changes: Any) -> Delivery:
    """Make a delivery to the server, with a clock that only sleeping moves unless another is given."""
    clock = clock or Clock()
    settings: dict[str, Any] = {"host": server.url, "api_key": KEY, "clock": clock}
    return Delivery(**{"sleep": getattr(clock, "sleep", time.sleep), **settings, **changes})


def send(server: PostHogServer, *envelopes: SimpleEnvelope, **changes: Any) -> Counters:
    """Send the events and leave the block."""
    with delivery(server, **changes) as sender:
        for item in envelopes:
            sender.add(item)
    return sender.counters


def uuids(envelopes: Sequence[Any]) -> list[str]:
    return [item.uuid for item in envelopes]


def accepted(server: PostHogServer) -> list[str]:
    return [event["uuid"] for event in server.accepted]


def body(request: Request) -> dict[str, Any]:
    """Return what a request held."""
    value: dict[str, Any] = json.loads(zlib.decompress(request.packed, wbits=31))
    return value
