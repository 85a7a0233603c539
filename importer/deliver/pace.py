"""How fast events may go: for large migrations, PostHog advises to stay below 10,000 events a minute."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from importer.deliver.batching import MAX_BATCH_EVENTS


class Pace:
    """A token bucket that several threads share: in no 60 seconds more events than were asked for.

    Attributes:
        most: events that one request may hold.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the events that may go in a minute (1 or more), and a clock that gives seconds."""
        self.most = max(1, min(MAX_BATCH_EVENTS, per_minute // 10))
        # A full bucket may go at once, so a minute's refill is the smaller by that.
        self._per_s = max(per_minute - self.most, per_minute / 2) / 60
        self._clock = clock
        self._left = float(self.most)
        self._counted_s = clock()
        self._lock = threading.Lock()

    def reserve(self, events: int) -> float:
        """Count events as handed over; gives the seconds to wait before they really are."""
        with self._lock:
            now_s = self._clock()
            self._left = min(self.most, self._left + (now_s - self._counted_s) * self._per_s)
            self._counted_s = now_s
            self._left -= events
            return max(0.0, -self._left / self._per_s)
