"""When to try a request again, and how long to wait before."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from importer.errors import DeliveryStoppedError

RETRYABLE_STATUS = frozenset({408, 429, 500, 502, 503, 504})

_SLICE_S = 0.25  # a stop is noticed within this time


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often a request is tried and how long the waits are.

    Attributes:
        attempts: tries of one request, the first one included.
        first_s: wait before the second try, in seconds; it doubles with every further try.
        max_s: longest wait that doubling leads to, in seconds.
        retry_after_max_s: longest wait that a server's `Retry-After` leads to, in seconds.
    """

    attempts: int = 6
    first_s: float = 0.5
    max_s: float = 30.0
    retry_after_max_s: float = 300.0

    def wait_s(self, failures: int, retry_after_s: float | None = None) -> float:
        """Seconds to wait after that many failures (1 or more) of a request.

        A half of the wait is random, so that clients that failed together do not come back together. What
        the server asked for (`retry_after_s`) is the least that is waited, up to `retry_after_max_s`.
        """
        ceiling = min(self.max_s, self.first_s * 2.0 ** min(failures - 1, 60))
        wait = ceiling * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
        if retry_after_s is None:
            return wait
        return max(wait, min(retry_after_s, self.retry_after_max_s))


def parse_retry_after(value: str | None, now_s: float) -> float | None:
    """Seconds that a `Retry-After` header asks to wait; None when it is absent or not understood.

    Both forms of RFC 9110, section 10.2.3: a number of seconds, or an HTTP date (compared with `now_s`,
    seconds since the epoch).
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, when.timestamp() - now_s)


def check_stop(stop: threading.Event) -> None:
    """Raise DeliveryStoppedError when the flag is set."""
    if stop.is_set():
        raise DeliveryStoppedError(
            "Stopped. What was delivered is kept; run the same command again to send the rest."
        )


def wait(seconds: float, *, stop: threading.Event, sleep: Callable[[float], None]) -> None:
    """Wait that many seconds; raises DeliveryStoppedError within a second of the flag being set."""
    # Short slices, for a lock's or sleep's long wait cannot be interrupted on every platform.
    while seconds > 0:
        check_stop(stop)
        sleep(min(_SLICE_S, seconds))
        seconds -= _SLICE_S
    check_stop(stop)
