"""Posts bodies to PostHog over one connection, again and again until there is an answer that stands."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import requests
from urllib3.exceptions import NewConnectionError

from importer.build.event import Envelope
from importer.deliver.batching import Counters
from importer.deliver.endpoint import check_answer, is_absent, read_answer
from importer.deliver.packing import Packer
from importer.deliver.retry import Pace, RetryPolicy, check_stop, is_retryable, parse_retry_after, wait
from importer.errors import DeliveryError
from importer.exchange import LateError, TimedSession
from importer.quoting import shown_host

KEPT = "nothing delivered so far is lost: run the same command again to go on"

_TIMEOUT_S = (10.0, 60.0)  # connect, read
_NOT_WAITED_FOR = frozenset({504, 520, 524, 598})  # a proxy did not wait for PostHog's answer
_NOT_SENT = ("CERTIFICATE_VERIFY_FAILED", "WRONG_VERSION_NUMBER", "HANDSHAKE")
_BAD_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
)


OnRequest = Callable[[Sequence[Envelope]], Callable[[], None]]
"""Called with the events of a request before it is made. What it returns is called once it is known whether
PostHog has them; never if that stays unknown."""


@dataclass(slots=True)
class _OpenRequest:
    """A request without an answer that stands: whether a try is under way, and whether one was lost."""

    events: int
    settle: Callable[[], None]
    is_trying: bool = False
    is_lost: bool = False


class InDoubt:
    """Requests of which nobody knows yet whether PostHog has their events. For one thread.

    Args:
        counters: learn how many events may have arrived without an answer.
        on_request: as `OnRequest` says.
    """

    def __init__(self, counters: Counters, on_request: OnRequest | None = None) -> None:
        self._counters = counters
        self._on_request = on_request
        self._open: dict[int, _OpenRequest] = {}
        self._last = 0

    def begin(self, envelopes: Sequence[Envelope]) -> int:
        """Take in a request that is about to be made; return its number."""
        settle = self._on_request(envelopes) if self._on_request else _do_nothing
        self._last += 1
        self._open[self._last] = _OpenRequest(len(envelopes), settle)
        return self._last

    def note_try(self, number: int, *, is_under_way: bool) -> None:
        """Note that a try of a request begins, or that it has ended."""
        self._open[number].is_trying = is_under_way

    def note_lost(self, number: int) -> None:
        """Note that a try of a request may have arrived without an answer."""
        request = self._open[number]
        if not request.is_lost:
            self._counters.unanswered += request.events
        request.is_lost = True

    def end(self, number: int, *, is_answered: bool) -> None:
        """Note that a request was answered, or given up."""
        request = self._open.pop(number, None)
        if request and (is_answered or not request.is_lost):
            request.settle()

    def close(self) -> None:
        """Note that nobody waits for the open requests any more."""
        for number, request in list(self._open.items()):
            if request.is_trying:
                self.note_lost(number)
            self.end(number, is_answered=False)


class Reply(NamedTuple):
    """An answer that is no error.

    Attributes:
        taken: whether PostHog took the events; if not, they are too large.
        gzip_bytes: bytes of the body as sent.
    """

    taken: bool
    gzip_bytes: int


class Connection:
    """Sends requests one after the other. Each thread needs a connection of its own.

    A proxy and a CA file are taken from the environment: `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`,
    `REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE`, then `SSL_CERT_FILE`.
    """

    def __init__(
        self,
        host: str,
        api_key: str,
        retry: RetryPolicy,
        stop: threading.Event,
        sleep: Callable[[float], None] = time.sleep,
        pace: Pace | None = None,
        packer: Packer | None = None,
    ) -> None:
        """Prepare to send. See `Delivery` for the arguments."""
        self._packer = packer or Packer()
        self._base = host.rstrip("/")
        self._host = shown_host(host)
        self._api_key = api_key
        self._retry = retry
        self._stop = stop
        self._sleep = sleep
        self._pace = pace
        self._session = TimedSession()
        self._session.headers.update({"Content-Type": "application/json", "Content-Encoding": "gzip"})
        if "@" in host:
            self._session.auth = None  # requests takes it from the address

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def post(
        self,
        path: str,
        body: list[bytes],
        events: int,
        on_try: Callable[[int], None],
        on_retry: Callable[[str, float], None],
        on_lost: Callable[[], None] = lambda: None,
    ) -> Reply:
        """Post a body until there is an answer that stands. Every try sends the same bytes.

        Args:
            path: the path of the endpoint.
            body: JSON in pieces. The list is emptied, so that what is sent is in memory once.
            events: number of events in it.
            on_try: called before each request with the number of tries before it.
            on_retry: called with the reason and the wait in seconds.
            on_lost: called after a try that may have reached PostHog without an answer.

        Raises:
            RefusedError: the server refuses for good.
            DeliveryError: it is away for longer than the retries last, or it is not PostHog.
            DeliveryStoppedError: the stop flag was set.
        """
        size = sum(map(len, body))
        packed = self._packer.packed(body)
        body.clear()
        for failures in range(1, max(1, self._retry.attempts) + 1):
            if self._pace:
                wait(self._pace.reserve(events, size), stop=self._stop, sleep=self._sleep)
            check_stop(self._stop)
            on_try(failures - 1)
            retry_after_s = None
            try:
                response, answer = self._exchange(path, packed)
            except requests.RequestException as error:
                reason = f"connection to {self._host} failed ({_explain_failure(error)})"
                if _may_have_arrived(error):
                    on_lost()
            else:
                status = response.status_code
                if status == 413:
                    return Reply(taken=False, gzip_bytes=len(packed))
                wrong: str | None = f"answered {status}"
                if is_absent(path, status) or not is_retryable(status):
                    wrong = check_answer(response, answer, api_key=self._api_key)
                if wrong is None:
                    return Reply(taken=True, gzip_bytes=len(packed))
                reason = f"{self._host} {wrong}"
                if status < 300 or status in _NOT_WAITED_FOR:
                    on_lost()
                retry_after_s = parse_retry_after(response.headers.get("Retry-After"))
            if failures >= self._retry.attempts:
                break
            wait_s = self._retry.wait_s(failures, retry_after_s)
            on_retry(reason, wait_s)
            wait(wait_s, stop=self._stop, sleep=self._sleep)
        tries = "1 try" if failures == 1 else f"{failures} tries"
        raise DeliveryError(f"Gave up after {tries}: {reason}; {KEPT}.")

    def _exchange(self, path: str, packed: bytes) -> tuple[requests.Response, bytes]:
        """Send a body once; return what came back. Raises RequestException if trying again may help."""
        try:
            with (
                self._session.end_within(self._retry.limit_s(len(packed))),
                self._session.post(
                    self._base + path, data=packed, timeout=_TIMEOUT_S, allow_redirects=False, stream=True
                ) as response,
            ):
                answer = read_answer(response)
        except (requests.exceptions.InvalidProxyURL, *_BAD_ADDRESS) as error:
            raise DeliveryError(self._explain_address(error)) from error
        except requests.RequestException:
            raise
        except OSError as error:  # what requests raises if the CA file is not there
            raise DeliveryError(
                "The file of CA certificates cannot be read: check REQUESTS_CA_BUNDLE and SSL_CERT_FILE."
            ) from error
        if response.status_code < 200:
            self._session.close()  # the answer to this request is still to come on its connection
        return response, answer

    def _explain_address(self, error: Exception) -> str:
        if isinstance(error, requests.exceptions.InvalidProxyURL):
            return "The proxy's address is not usable: check HTTPS_PROXY and HTTP_PROXY."
        if "SOCKS" in str(error):
            return "A SOCKS proxy cannot be used: set HTTPS_PROXY to an HTTP proxy, or NO_PROXY."
        return f"POSTHOG_HOST is not a usable address: {self._host}."


def _do_nothing() -> None:
    """Settle a request of which nobody keeps note."""


def _may_have_arrived(error: requests.RequestException) -> bool:
    """Tell whether a request may have reached the server before it failed."""
    if isinstance(error, requests.ConnectTimeout | requests.exceptions.ProxyError):
        return False
    if isinstance(getattr(error.args[0] if error.args else None, "reason", None), NewConnectionError):
        return False  # no such name, or refused
    return not any(word in str(error) for word in _NOT_SENT)


def _explain_failure(error: requests.RequestException) -> str:
    # It is tried again: a hotel's login page shows a wrong certificate until someone logs in.
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return (
            "the TLS certificate could not be verified: check POSTHOG_HOST, the computer's clock and "
            "REQUESTS_CA_BUNDLE"
        )
    if "NameResolutionError" in str(error):
        return "the host's name could not be resolved: check POSTHOG_HOST and the network"
    if isinstance(error, LateError):
        return str(error)
    if isinstance(error, requests.Timeout):
        return "timed out"
    if isinstance(error, requests.exceptions.SSLError):
        return "TLS error"
    if isinstance(error, requests.exceptions.ProxyError):
        return "proxy error: check HTTPS_PROXY and HTTP_PROXY"
    return "no answer" if isinstance(error, requests.ConnectionError) else "broken answer"
