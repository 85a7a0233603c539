"""Sends events to PostHog: batches, gzip, retries, and what to do about a refusal.

The endpoint is `POST {host}/batch/` (PostHog capture docs, "Batch events":
https://posthog.com/docs/api/capture).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType

import requests
from isal import igzip

from importer import __version__
from importer.answers import check_answer, read_answer, shown_host
from importer.batching import MAX_BODY_BYTES, Batch, BodyFormat, encode_fitting, is_historical
from importer.counters import Counters
from importer.envelope import Envelope
from importer.errors import DeliveryError
from importer.retry import RETRYABLE_STATUS, RetryPolicy, check_stop, parse_retry_after, wait

TRIM_LIMITS = tuple(kib * 1024 for kib in (512, 256, 128, 64, 32, 16))

_TIMEOUT_S = (10.0, 60.0)  # connect, read
_BAD_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
)
_KEPT = "nothing delivered so far is lost: run the same command again to go on"


class Delivery:
    """Takes events one by one and sends them in batches over one connection.

    Use it as a context manager: leaving the block normally sends what still waits; leaving it with an
    exception sends nothing more. After any error nothing more is sent.
    """

    def __init__(
        self,
        *,
        host: str,
        api_key: str,
        retry: RetryPolicy | None = None,
        on_delivered: Callable[[Sequence[Envelope]], None] | None = None,
        on_retry: Callable[[str, float], None] | None = None,
        on_trimmed: Callable[[Envelope, int], None] | None = None,
        on_failed: Callable[[Envelope, str], None] | None = None,
        stop: threading.Event | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        with_sent_at: bool = True,
    ) -> None:
        """Prepare to send; nothing is sent yet.

        Args:
            host: PostHog's address, such as `https://us.i.posthog.com`.
            api_key: the project API key; it appears in no message.
            retry: how often and how long to try again; the default is `RetryPolicy()`.
            on_delivered: called with the events of each accepted request before the next one is built;
                what it raises goes through, and nothing more is sent.
            on_retry: called with the reason and the seconds that will be waited.
            on_trimmed: called with an event that was taken after being cut, and the limit in bytes.
            on_failed: called with an event that was refused in every size, and the reason.
            stop: when set, waiting and sending end with DeliveryStoppedError.
            clock: gives seconds since the epoch.
            sleep: waits that many seconds.
            with_sent_at: whether bodies carry `sent_at`. PostHog then moves every event's time by the
                difference between its own clock and `sent_at`, except for events whose properties hold
                `$ignore_sent_at: true` (PostHog's capture service, rust/capture/src/timestamp.rs).
        """
        self.counters = Counters()
        self._url = host.rstrip("/") + "/batch/"
        self._host = shown_host(host)
        self._api_key = api_key
        self._retry = retry or RetryPolicy()
        self._on_delivered = on_delivered
        self._on_retry = on_retry
        self._on_trimmed = on_trimmed
        self._on_failed = on_failed
        self._stop = stop or threading.Event()
        self._clock = clock
        self._sleep = sleep
        self._format = BodyFormat(api_key, with_sent_at=with_sent_at)
        # Old and new events wait apart, for only old ones may go as a historical migration.
        self._waiting = {kind: Batch(self._format.overhead) for kind in (True, False)}
        self._broken = False
        self._session = requests.Session()
        self._session.headers.update(
            {
                "Content-Type": "application/json",
                "Content-Encoding": "gzip",
                "User-Agent": f"pi-posthog/{__version__}",
            }
        )
        if "@" not in host:
            self._session.auth = _no_auth

    def __enter__(self) -> Delivery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._broken = True
        self.close()

    def add(self, envelope: Envelope) -> None:
        """Take one event; sends a batch when one is full.

        Raises:
            DeliveryError: PostHog did not take the events, and trying again now would not help.
        """
        self._check_usable()
        historical = is_historical(envelope.end_ms, self._clock())
        batch = self._waiting[historical]
        if not batch.fits(envelope):
            self._send_waiting(historical)
        batch.append(envelope)

    def flush(self) -> None:
        """Send everything that waits.

        Raises:
            DeliveryError: as in `add`.
        """
        self._check_usable()
        for historical in (True, False):
            self._send_waiting(historical)

    def close(self) -> None:
        """Send everything that waits, unless an error came before, and close the connection.

        Raises:
            DeliveryError: as in `add`.
        """
        try:
            if not self._broken:
                self.flush()
        finally:
            self._session.close()

    def _check_usable(self) -> None:
        if self._broken:
            raise DeliveryError(f"Sending ended with an error before; {_KEPT}.")

    def _send_waiting(self, historical: bool) -> None:
        batch = self._waiting[historical]
        if not batch:
            return
        self._broken = True  # stays so when anything below raises
        self._send(batch.take(), historical)
        self._broken = False

    def _send(self, envelopes: list[Envelope], historical: bool) -> None:
        """Send the events in as many requests as it takes; each is in one accepted request or reported."""
        parts = [envelopes]
        while parts:
            part = parts.pop()
            encoded = encode_fitting(part, self._format.overhead)
            taken = len(encoded)
            if taken < len(part) and taken:
                parts.append(part[taken:])
                part = part[:taken]
            if taken and self._accepted(part, encoded, historical):
                self._confirm(part)
            elif len(part) == 1:
                self._send_trimmed(part[0], historical)
            else:
                # The first event alone is over the limit, or the server wants less: smaller parts.
                middle = 1 if not taken else len(part) // 2
                parts += (part[middle:], part[:middle])

    def _send_trimmed(self, envelope: Envelope, historical: bool) -> None:
        refused = envelope.size
        for limit in TRIM_LIMITS:
            if limit >= refused:
                continue
            data = envelope.trimmed(limit)
            if len(data) >= refused:
                continue  # could not be cut further
            refused = len(data)
            if self._accepted([envelope], [data], historical):
                self.counters.trimmed += 1
                if self._on_trimmed:
                    self._on_trimmed(envelope, limit)
                self._confirm([envelope])
                return
        self.counters.failed += 1
        if self._on_failed:
            self._on_failed(envelope, f"PostHog refused the event as too large, even cut to {refused} bytes")

    def _confirm(self, envelopes: Sequence[Envelope]) -> None:
        self.counters.delivered += len(envelopes)
        if self._on_delivered:
            self._on_delivered(envelopes)

    def _accepted(self, envelopes: Sequence[Envelope], encoded: list[bytes], historical: bool) -> bool:
        """Send one request; False when PostHog finds it too large. Takes the bytes out of `encoded`."""
        now_s = self._clock()
        # The clock may have been set back since the events were sorted.
        historical = historical and all(is_historical(envelope.end_ms, now_s) for envelope in envelopes)
        body = self._format.join(encoded, now_s=now_s, historical=historical)
        encoded.clear()
        if len(body) > MAX_BODY_BYTES:
            return False
        packed = igzip.compress(body, mtime=0)
        raw_bytes = len(body)
        del body
        if not self._post(packed):
            return False
        self.counters.raw_bytes += raw_bytes
        self.counters.gzip_bytes += len(packed)
        return True

    def _post(self, packed: bytes) -> bool:
        """Post until there is an answer that stands: True for a yes, False for too large."""
        for failures in range(1, max(1, self._retry.attempts) + 1):
            check_stop(self._stop)
            self.counters.requests += 1
            self.counters.retries += failures > 1
            retry_after_s = None
            try:
                with self._session.post(
                    self._url, data=packed, timeout=_TIMEOUT_S, allow_redirects=False, stream=True
                ) as response:
                    answer = read_answer(response)
            except _BAD_ADDRESS as error:
                raise DeliveryError(f"POSTHOG_HOST is not a usable address: {self._host}.") from error
            except requests.RequestException as error:
                # A wrong certificate will be as wrong on the next try.
                if "CERTIFICATE_VERIFY_FAILED" in str(error):
                    raise DeliveryError(
                        f"The TLS certificate of {self._host} could not be verified; check POSTHOG_HOST, "
                        "the computer's clock and REQUESTS_CA_BUNDLE."
                    ) from error
                reason = f"connection to {self._host} failed ({_transport_reason(error)})"
            else:
                if response.status_code == 413:
                    return False
                if response.status_code not in RETRYABLE_STATUS:
                    check_answer(response, answer, api_key=self._api_key)
                    return True
                reason = f"{self._host} answered {response.status_code}"
                retry_after_s = parse_retry_after(response.headers.get("Retry-After"), self._clock())
            if failures >= self._retry.attempts:
                break
            wait_s = self._retry.wait_s(failures, retry_after_s)
            if self._on_retry:
                self._on_retry(reason, wait_s)
            wait(wait_s, stop=self._stop, sleep=self._sleep)
        tries = "1 try" if failures == 1 else f"{failures} tries"
        raise DeliveryError(f"Gave up after {tries}: {reason}; {_KEPT}.")


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leave the request as it is, so that no entry of ~/.netrc adds a password to it."""
    return request


def _transport_reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "timed out"
    if isinstance(error, requests.exceptions.SSLError):
        return "TLS error"
    if isinstance(error, requests.exceptions.ProxyError):
        return "proxy error"
    return "no answer" if isinstance(error, requests.ConnectionError) else "broken answer"
