"""The lines about what a backfill could not deliver as it is."""

from __future__ import annotations

from importer.build.event import Envelope


def trimmed(envelope: Envelope, limit: int) -> str:
    """An event was taken after it was cut to that many bytes."""
    return f"{envelope.source}: {envelope.event} {envelope.uuid} was cut to {limit} bytes"


def refused(envelope: Envelope, reason: str) -> str:
    """An event was refused for good."""
    return f"{envelope.source}: {envelope.event} {envelope.uuid} not delivered: {reason}"


def unreadable(source: str, error: OSError) -> str:
    """A session file could not be read."""
    return f"{source}: {error.strerror}; its events are left for the next time"


def changed(source: str, events: int) -> str:
    """A session file did not hold so many events any more."""
    count = f"{events} events are" if events > 1 else "1 event is"
    return f"{source}: changed while it was read; {count} left for the next time"
