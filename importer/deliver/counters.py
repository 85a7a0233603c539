"""What a delivery has done, in numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """What a Delivery has done so far.

    Attributes:
        requests: HTTP requests made, further tries included.
        retries: how many of them were further tries.
        delivered: events that PostHog took, trimmed ones included.
        trimmed: events that PostHog took only after they were cut.
        shortened: events that were cut to the endpoint's known limit before they were sent.
        failed: events that PostHog refused for good.
        event_bytes: bytes of the JSON of the events that PostHog took.
        raw_bytes: bytes of the accepted bodies before compression.
        gzip_bytes: bytes of the accepted bodies as sent.
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
