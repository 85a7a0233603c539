"""Which of PostHog's addresses takes which event, and how large an event may be there.

PostHog takes `$ai_*` events at `/batch/` up to 983,040 bytes and at `/i/v0/ai/batch/` up to 8 MiB each; both
refuse a whole request for one larger event, and the second one takes nothing but AI events (PostHog's
rust/capture/src: config.rs, `ai_max_event_bytes`, and router.rs). Servers without the second answer 404.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from importer.build.envelope import Envelope
from importer.build.trimming import EVENT_LIMIT

Choice = Literal["auto", "batch", "ai"]

_KIB = 1024
_ANY_SIZE = 2**62
_ABSENT_STATUS = frozenset({404, 405, 501})
_TRIM_LIMITS = tuple(kib * _KIB for kib in (512, 256, 128, 64, 32, 16))


class Endpoint(NamedTuple):
    """One address for events.

    Attributes:
        path: behind the host, with slashes around it.
        event_limit: bytes of JSON that one event may have.
        trim_limits: bytes to try, largest first, for an event that the server still finds too large.
    """

    path: str
    event_limit: int
    trim_limits: tuple[int, ...]

    def pieces(self, envelope: Envelope) -> list[bytes]:
        """The event's JSON as it is sent here, not yet joined."""
        return envelope.pieces(self.event_limit)

    def size_of(self, envelope: Envelope) -> int:
        """Bytes of what `pieces` gives."""
        if self.event_limit > EVENT_LIMIT:
            return envelope.size_within(self.event_limit)
        return envelope.size

    def cuts(self, envelope: Envelope) -> bool:
        """Whether the event is too large to be sent whole here."""
        return envelope.size_within(_ANY_SIZE) > self.event_limit


BATCH = Endpoint("/batch/", EVENT_LIMIT, _TRIM_LIMITS)
AI = Endpoint(
    "/i/v0/ai/batch/", (8 * 1024 - 64) * _KIB, (4096 * _KIB, 2048 * _KIB, EVENT_LIMIT, *_TRIM_LIMITS)
)


class Routes:
    """Says for one run where events go; an AI endpoint that turned out to be missing is not asked again."""

    def __init__(self, choice: Choice) -> None:
        """Take the setting: `batch` never uses the AI endpoint, `ai` insists on it, `auto` tries it."""
        self._choice = choice
        self._has_ai = choice != "batch"

    def of(self, envelope: Envelope) -> Endpoint:
        """Where the event goes."""
        return AI if self._has_ai and envelope.event.startswith("$ai_") else BATCH

    def gives_up(self, endpoint: Endpoint, status: int) -> bool:
        """Whether that answer of an endpoint sends its events to `/batch/` from now on."""
        if endpoint is not AI or self._choice != "auto" or status not in _ABSENT_STATUS:
            return False
        self._has_ai = False
        return True

    def lacks(self, endpoint: Endpoint) -> bool:
        """Whether the server is known not to have the endpoint."""
        return endpoint is AI and not self._has_ai
