"""When to send a request: how long to wait after a failure, and how many events and bytes may go.

tenacity was considered for the loop in `importer.deliver.transport`. Here a wait ends within a second of a
stop flag, the server's `Retry-After` is its least, and each try takes its share of the rate. With tenacity,
all three would be callbacks of ours; it would replace `RetryPolicy.wait_s`, five lines, and its import takes
21 ms of every backfill. urllib3 parses `Retry-After`; requests imports it anyway.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from importer.deliver.batching import MAX_BATCH_EVENTS, MAX_BODY_BYTES
from importer.deliver.endpoint import AI
from importer.errors import DeliveryStoppedError

_RETRYABLE_STATUS = frozenset({408, 425, 429})  # and every 5xx
_BYTES_PER_S = 20_000  # slower than any line on which uploads make sense

_SLICE_S = 0.25  # a stop is noticed within this time


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often to try a request, and how long to wait in between.

    Attributes:
        attempts: tries of one request, the first one included.
        first_s: wait before the second try, in seconds. It doubles with every further try.
        max_s: longest wait that doubling leads to, in seconds.
        retry_after_max_s: longest wait that a server's `Retry-After` leads to, in seconds.
        exchange_s: longest time from connecting to the end of the answer, in seconds, without the upload.
    """

    attempts: int = 6
    first_s: float = 0.5
    max_s: float = 30.0
    retry_after_max_s: float = 300.0
    exchange_s: float = 120.0

    def wait_s(self, failures: int, retry_after_s: float | None = None) -> float:
        """Return the seconds to wait after that many failures (1 or more) of a request.

        Half of the wait is random, so that clients that failed together do not come back together. What the
        server asked for (`retry_after_s`) is the least, up to `retry_after_max_s`.
        """
        ceiling = min(self.max_s, self.first_s * 2.0 ** min(failures - 1, 60))
        wait = ceiling * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
        if retry_after_s is None:
            return wait
        return max(wait, min(retry_after_s, self.retry_after_max_s))

    def limit_s(self, size: int) -> float:
        """Return the seconds after which a request with a body of that many bytes is cut off."""
        return self.exchange_s + size / _BYTES_PER_S


def is_retryable(status: int) -> bool:
    """Tell whether a request that was answered with that status is tried again.

    That is every status by which a server, or what stands before it, says "not now": 5xx as a class, because
    proxies make up their own (520 to 530, 598), and 1xx, which are no answers.
    """
    return status in _RETRYABLE_STATUS or 500 <= status <= 599 or status < 200


def parse_retry_after(value: str | None) -> float | None:
    """Return the seconds that a `Retry-After` header asks to wait; None if it is absent or makes no sense.

    The header holds a number of seconds, or a date (RFC 9110, section 10.2.3). A date in the past is 0.0.
    """
    from urllib3.exceptions import InvalidHeader
    from urllib3.util import Retry  # here, because `RetryPolicy` is imported before there is time for it

    try:
        return float(Retry().parse_retry_after(value or ""))
    except (InvalidHeader, ValueError, OverflowError):  # the last two: numbers that no date can have
        return None


def check_stop(stop: threading.Event) -> None:
    """Raise DeliveryStoppedError if the flag is set."""
    if stop.is_set():
        raise DeliveryStoppedError(
            "Stopped. What was delivered is kept; run the same command again to send the rest."
        )


def wait(seconds: float, *, stop: threading.Event, sleep: Callable[[float], None]) -> None:
    """Wait that many seconds. Raises DeliveryStoppedError within a second of the flag being set."""
    # In short slices: a long wait cannot be interrupted on every platform.
    while seconds > 0:
        check_stop(stop)
        sleep(min(_SLICE_S, seconds))
        seconds -= _SLICE_S
    check_stop(stop)


class Pace:
    """Token buckets that several threads share: no 60 seconds have more events or bytes than were asked for.

    For large migrations, PostHog advises to stay below 10,000 events a minute; it drops AI events beyond a
    project's bytes a second without a word. One event that is larger than half of a minute's bytes goes all
    the same, and what follows waits for it.

    Args:
        per_minute: events that may go in a minute, 1 or more; None for any number.
        clock: gives seconds.
        bytes_per_minute: bytes of JSON, before compression, that may go in a minute; None for any number.

    Attributes:
        most: events that one request may hold.
        most_bytes: bytes that a request of several events may have.

    Example:
        >>> pace = Pace(10_000, bytes_per_minute=60_000_000)
        >>> time.sleep(pace.reserve(500, 1_200_000))
    """

    def __init__(
        self,
        per_minute: int | None,
        clock: Callable[[], float] = time.monotonic,
        *,
        bytes_per_minute: int | None = None,
    ) -> None:
        self.most, self.most_bytes = MAX_BATCH_EVENTS, MAX_BODY_BYTES
        self._events: _Bucket | None = None
        self._bytes: _Bucket | None = None
        if per_minute is not None:
            self.most = max(1, min(MAX_BATCH_EVENTS, per_minute // 10))
            self._events = _Bucket(per_minute, self.most, clock)
        if bytes_per_minute is not None:
            largest = max(1, min(AI.event_limit, bytes_per_minute // 2))
            self.most_bytes = min(MAX_BODY_BYTES, largest)
            self._bytes = _Bucket(bytes_per_minute, largest, clock)
        self._lock = threading.Lock()

    def reserve(self, events: int, size: int = 0) -> float:
        """Take tokens for a request of so many events and bytes; return the seconds to wait for them."""
        with self._lock:
            waits = (bucket.take(n) for bucket, n in ((self._events, events), (self._bytes, size)) if bucket)
            return max(waits, default=0.0)

    def use_up(self) -> None:
        """Take all tokens, as for a process that takes over from another one."""
        for bucket in (self._events, self._bytes):
            if bucket:
                bucket.take(bucket.most)


def make_pace(per_minute: int | None, bytes_per_minute: int | None) -> Pace | None:
    """Return the pace for two limits, as for `Pace`; None where there is none."""
    if per_minute is None and bytes_per_minute is None:
        return None
    return Pace(per_minute, bytes_per_minute=bytes_per_minute)


class _Bucket:
    """One token bucket. A full one may go at once, so a minute refills that much less."""

    def __init__(self, per_minute: int, most: int, clock: Callable[[], float]) -> None:
        self.most = most
        self._per_s = max(per_minute - most, per_minute / 2) / 60
        self._clock = clock
        self._left = float(most)
        self._counted_s = clock()

    def take(self, tokens: int) -> float:
        """Take tokens; return the seconds until they are there."""
        now_s = self._clock()
        self._left = min(self.most, self._left + (now_s - self._counted_s) * self._per_s)
        self._counted_s = now_s
        self._left -= tokens
        return max(0.0, -self._left / self._per_s)
