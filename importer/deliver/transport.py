"""Posts bodies to PostHog over one connection, again and again until there is an answer that stands."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import requests

from importer import __version__
from importer.deliver.endpoint import check_answer, read_answer
from importer.deliver.packing import Packer
from importer.deliver.retry import RETRYABLE_STATUS, Pace, RetryPolicy, check_stop, parse_retry_after, wait
from importer.errors import DeliveryError
from importer.quoting import shown_host

KEPT = "nothing delivered so far is lost: run the same command again to go on"

_TIMEOUT_S = (10.0, 60.0)  # connect, read
_BAD_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
)


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
        self._session = requests.Session()
        self._session.headers.update(
            {
                "Content-Type": "application/json",
                "Content-Encoding": "gzip",
                "User-Agent": f"pi2posthog/{__version__}",
            }
        )
        # requests knows only its own variable, which wins over this.
        self._session.verify = os.environ.get("SSL_CERT_FILE") or True
        if "@" not in host:
            self._session.auth = _add_no_auth

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
    ) -> Reply:
        """Post a body until there is an answer that stands. Every try sends the same bytes.

        Args:
            path: the path of the endpoint.
            body: JSON in pieces. The list is emptied, so that what is sent is in memory once.
            events: number of events in it.
            on_try: called before each request with the number of tries before it.
            on_retry: called with the reason and the wait in seconds.

        Raises:
            RefusedError: the server refuses for good.
            DeliveryError: it is away for longer than the retries last, or it is not PostHog.
            DeliveryStoppedError: the stop flag was set.
        """
        packed = self._packer.packed(body)
        body.clear()
        for failures in range(1, max(1, self._retry.attempts) + 1):
            if self._pace:
                wait(self._pace.reserve(events), stop=self._stop, sleep=self._sleep)
            check_stop(self._stop)
            on_try(failures - 1)
            retry_after_s = None
            try:
                with self._session.post(
                    self._base + path, data=packed, timeout=_TIMEOUT_S, allow_redirects=False, stream=True
                ) as response:
                    answer = read_answer(response)
            except (requests.exceptions.InvalidProxyURL, *_BAD_ADDRESS) as error:
                raise DeliveryError(self._explain_address(error)) from error
            except requests.RequestException as error:
                reason = f"connection to {self._host} failed ({_explain_failure(error)})"
            except OSError as error:  # what requests raises if the CA file is not there
                raise DeliveryError(
                    "The file of CA certificates cannot be read: check REQUESTS_CA_BUNDLE and SSL_CERT_FILE."
                ) from error
            else:
                status = response.status_code
                if status == 413:
                    return Reply(taken=False, gzip_bytes=len(packed))
                if status not in RETRYABLE_STATUS:
                    check_answer(response, answer, api_key=self._api_key)
                    return Reply(taken=True, gzip_bytes=len(packed))
                reason = f"{self._host} answered {status}"
                retry_after_s = parse_retry_after(response.headers.get("Retry-After"))
            if failures >= self._retry.attempts:
                break
            wait_s = self._retry.wait_s(failures, retry_after_s)
            on_retry(reason, wait_s)
            wait(wait_s, stop=self._stop, sleep=self._sleep)
        tries = "1 try" if failures == 1 else f"{failures} tries"
        raise DeliveryError(f"Gave up after {tries}: {reason}; {KEPT}.")

    def _explain_address(self, error: Exception) -> str:
        if isinstance(error, requests.exceptions.InvalidProxyURL):
            return "The proxy's address is not usable: check HTTPS_PROXY and HTTP_PROXY."
        if "SOCKS" in str(error):
            return "A SOCKS proxy cannot be used: set HTTPS_PROXY to an HTTP proxy, or NO_PROXY."
        return f"POSTHOG_HOST is not a usable address: {self._host}."


def _add_no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leave the request as it is, so that no entry of ~/.netrc adds a password to it."""
    return request


def _explain_failure(error: requests.RequestException) -> str:
    # It is tried again: a hotel's login page shows a wrong certificate until someone logs in.
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return (
            "the TLS certificate could not be verified: check POSTHOG_HOST, the computer's clock and "
            "REQUESTS_CA_BUNDLE"
        )
    if "NameResolutionError" in str(error):
        return "the host's name could not be resolved: check POSTHOG_HOST and the network"
    if isinstance(error, requests.Timeout):
        return "timed out"
    if isinstance(error, requests.exceptions.SSLError):
        return "TLS error"
    if isinstance(error, requests.exceptions.ProxyError):
        return "proxy error: check HTTPS_PROXY and HTTP_PROXY"
    return "no answer" if isinstance(error, requests.ConnectionError) else "broken answer"
