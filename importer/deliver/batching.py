"""Which events share a request, and the bytes of that request.

PostHog takes a body of at most 20 MiB and its own libraries aim at 5 MiB (PostHog capture docs, "Batch
events", and posthog-python's MAX_MSG_SIZE and BATCH_SIZE_LIMIT).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from importer.build.event import Envelope
from importer.deliver.endpoint import BATCH, Endpoint, Routes

MAX_BATCH_EVENTS = 500
MAX_BODY_BYTES = 5 * 1024 * 1024
HISTORICAL_AGE_S = 48 * 3600

_SUFFIX = b"]}"

Lane = tuple[Endpoint, bool]
"""Where events go, and whether they are old: only old ones may go as a historical migration."""


@dataclass(slots=True)
class Counters:
    """What a Delivery has done so far.

    Attributes:
        requests: HTTP requests made, further tries included.
        retries: how many of them were further tries.
        delivered: events that PostHog took, trimmed ones included.
        trimmed: events that PostHog took only after they were cut.
        shortened: events that were cut to a known limit before they were sent or written.
        failed: events that PostHog refused for good.
        event_bytes: bytes of the JSON of the events that PostHog took.
        raw_bytes: bytes of the accepted bodies before compression.
        gzip_bytes: bytes of the accepted bodies as sent.
        unanswered: events that may have arrived without an answer, whether they were sent again or not.
    """

    requests: int = 0
    retries: int = 0
    delivered: int = 0
    trimmed: int = 0
    shortened: int = 0
    failed: int = 0
    event_bytes: int = 0
    raw_bytes: int = 0
    gzip_bytes: int = 0
    unanswered: int = 0


class BodyFormat:
    """The wrapper around the events of a request: `{"api_key", "sent_at", "batch": [...]}`.

    Args:
        api_key: the project API key.
        with_sent_at: whether bodies carry the time of sending.

    Attributes:
        overhead: most bytes of a body besides its events and the commas between them.
    """

    __slots__ = ("_key", "_with_sent_at", "overhead")

    def __init__(self, api_key: str, *, with_sent_at: bool = True) -> None:
        self._key = json.dumps(api_key).encode()
        self._with_sent_at = with_sent_at
        # Of the largest wrapper, so that a full batch fits whichever kind it is.
        self.overhead = len(self._prefix(now_s=0.0, historical=True)) + len(_SUFFIX)

    def _prefix(self, *, now_s: float, historical: bool) -> bytes:
        parts = [b'{"api_key":', self._key]
        if historical:
            parts.append(b',"historical_migration":true')
        if self._with_sent_at:
            sent_at = datetime.fromtimestamp(now_s, UTC).isoformat(timespec="milliseconds")
            parts.append(b',"sent_at":"' + sent_at.replace("+00:00", "Z").encode() + b'"')
        parts.append(b',"batch":[')
        return b"".join(parts)

    def wrap(self, events: Sequence[Encoded], *, now_s: float, historical: bool) -> list[bytes]:
        """Return the body of a request with the events, in pieces, at `now_s` seconds since the epoch."""
        pieces = [self._prefix(now_s=now_s, historical=historical)]
        for event in events:
            if len(pieces) > 1:
                pieces.append(b",")
            pieces += event.pieces
        return [*pieces, _SUFFIX]


class Encoded(NamedTuple):
    """One event's JSON, not yet joined, and its bytes."""

    pieces: list[bytes]
    size: int

    @classmethod
    def of(cls, pieces: list[bytes]) -> Encoded:
        """Return the event that these pieces make up."""
        return cls(pieces, sum(map(len, pieces)))


@dataclass(slots=True)
class Part:
    """Events of a request to come.

    Attributes:
        envelopes: the events, in their order.
        endpoint: where they go.
        historical: whether they waited as old ones.
        limit: bytes to which a single event had to be cut.
        encoded: that event's bytes.
    """

    envelopes: list[Envelope]
    endpoint: Endpoint
    historical: bool
    limit: int | None = None
    encoded: bytes = b""

    def split(self, at: int) -> tuple[Part, Part]:
        """Return the first `at` events, and the others."""
        first, second = self.envelopes[:at], self.envelopes[at:]
        return Part(first, self.endpoint, self.historical), Part(second, self.endpoint, self.historical)


class Batch:
    """Events that wait to be sent together, in the order they came and within both limits.

    Args:
        overhead: bytes that a body has besides its events and the commas between them.
        endpoint: where the events go.
        most: most events in one batch.
        most_bytes: most bytes of a body with more than one event.
    """

    __slots__ = ("_bytes", "_endpoint", "_envelopes", "_most", "_most_bytes", "_overhead")

    def __init__(
        self,
        overhead: int,
        endpoint: Endpoint = BATCH,
        most: int = MAX_BATCH_EVENTS,
        most_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._overhead = overhead
        self._endpoint = endpoint
        self._most = most
        self._most_bytes = most_bytes
        self._envelopes: list[Envelope] = []
        self._bytes = overhead

    def __len__(self) -> int:
        return len(self._envelopes)

    def fits(self, envelope: Envelope) -> bool:
        """Return whether the event still goes into this batch. An empty batch takes any event."""
        if not self._envelopes:
            return True
        if len(self) >= self._most:
            return False
        return self._bytes + 1 + self._endpoint.size_of(envelope) <= self._most_bytes

    def append(self, envelope: Envelope) -> None:
        """Put the event at the end."""
        self._bytes += self._endpoint.size_of(envelope) + bool(self._envelopes)
        self._envelopes.append(envelope)

    def take(self) -> list[Envelope]:
        """Return all events that wait here, and empty the batch."""
        envelopes, self._envelopes, self._bytes = self._envelopes, [], self._overhead
        return envelopes


class SendQueue:
    """All events that wait to be sent: batches that fill up, and the parts of requests to come.

    Args:
        overhead: bytes that a body has besides its events and the commas between them.
        routes: where events go.
        most: most events in one request.
        most_bytes: most bytes of a body with more than one event.
    """

    def __init__(
        self,
        overhead: int,
        routes: Routes,
        most: int = MAX_BATCH_EVENTS,
        most_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._overhead = overhead
        self._routes = routes
        self._most = most
        self._most_bytes = most_bytes
        self._batches: dict[Lane, Batch] = {}
        self._parts: list[Part] = []  # the next one is the last

    def __bool__(self) -> bool:
        """Return whether a part is ready to be sent."""
        return bool(self._parts)

    def add(self, envelope: Envelope, now_s: float) -> None:
        """Put an event into the batch of its lane. A batch that is full becomes a part."""
        lane = (self._routes.choose(envelope), is_historical(envelope.end_ms, now_s))
        batch = self._batches.get(lane)
        if batch is None:
            batch = self._batches[lane] = Batch(self._overhead, lane[0], self._most, self._most_bytes)
        if not batch.fits(envelope):
            self._parts.append(Part(batch.take(), *lane))
        batch.append(envelope)

    def lanes(self) -> list[Lane]:
        """Return the lanes in the order to send them, old events first."""
        return sorted(self._batches, key=lambda lane: (lane[0].path, not lane[1]))

    def end_batch(self, lane: Lane) -> bool:
        """Make a part of what waits in a lane. Return False if nothing does."""
        batch = self._batches[lane]
        if not batch:
            return False
        self._parts.append(Part(batch.take(), *lane))
        return True

    def take(self) -> tuple[Part, list[Encoded]]:
        """Return the next part with as many events as one request holds, and their JSON.

        The JSON is empty for a single event that is larger than a body may be.
        """
        part = self._parts.pop()
        if self._routes.lacks(part.endpoint):
            part = Part(part.envelopes, self._routes.batch, part.historical)
        encoded = encode_fitting(part, self._overhead, self._most_bytes)
        if len(encoded) < len(part.envelopes):
            part, rest = part.split(len(encoded) or 1)
            if rest.envelopes:
                self._parts.append(rest)
        return part, encoded

    def put_halves(self, part: Part) -> bool:
        """Put the halves of a part back. Return False for a single event."""
        if len(part.envelopes) == 1:
            return False
        self._parts += part.split(len(part.envelopes) // 2)[::-1]
        return True

    def put_smaller(self, part: Part) -> int | None:
        """Put a single event back in its next smaller size. Return its bytes if there is no smaller one."""
        (envelope,) = part.envelopes
        refused = len(part.encoded) or part.endpoint.size_of(envelope)
        for limit in part.endpoint.trim_limits:
            if limit < refused and len(data := envelope.trimmed(limit)) < refused:
                self._parts.append(Part([envelope], part.endpoint, part.historical, limit, data))
                return None
        return refused

    def reroute(self, part: Part) -> None:
        """Put a part back for `/batch/`, with all that waits for an endpoint that is not there."""
        for (endpoint, historical), batch in self._batches.items():
            if self._routes.lacks(endpoint) and batch:
                self._parts.append(Part(batch.take(), self._routes.batch, historical))
        self._parts.append(Part(part.envelopes, self._routes.batch, part.historical))


def encode_fitting(part: Part, overhead: int, most_bytes: int = MAX_BODY_BYTES) -> list[Encoded]:
    """Return the JSON of as many leading events of a part as one body holds, counted on the bytes themselves.

    One event may be as large as its endpoint takes, but is then alone. The list is empty if the first event
    is larger than a body may be.
    """
    if part.encoded:
        return [Encoded.of([part.encoded])]
    room = most_bytes - overhead
    encoded: list[Encoded] = []
    for envelope in part.envelopes[:MAX_BATCH_EVENTS]:
        event = Encoded.of(part.endpoint.pieces(envelope))
        room -= event.size + bool(encoded)
        if room < 0:
            if not encoded and event.size <= part.endpoint.event_limit:
                encoded.append(event)
            break
        encoded.append(event)
    return encoded


def is_historical(end_ms: int, now_s: float) -> bool:
    """Return whether an event of that time is over 48 hours old: it may go with `historical_migration`."""
    return end_ms < (now_s - HISTORICAL_AGE_S) * 1000
