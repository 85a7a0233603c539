"""HTTP sessions whose exchanges have a deadline.

The timeout of `requests` bounds each single read, so an answer that drips a byte a second never ends. Here
the connection is cut when the time for the whole exchange is over.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from importer import __version__


class LateError(requests.Timeout):
    """An exchange was not over in time."""


class TimedSession(requests.Session):
    """A session of `requests` for one thread, in which an exchange can have a deadline.

    It follows no redirects, says who it is, and takes a CA file from the environment as well: requests knows
    `REQUESTS_CA_BUNDLE` and `CURL_CA_BUNDLE`, which win over `SSL_CERT_FILE`.

    Example:
        >>> with TimedSession() as session, session.end_within(120):
        ...     session.post(url, data=body, timeout=(10, 60))
    """

    def __init__(self) -> None:
        super().__init__()
        self.headers["User-Agent"] = f"pi2posthog/{__version__}"
        self.verify = os.environ.get("SSL_CERT_FILE") or True
        self.auth = _add_no_auth
        self._deadline = _Deadline()
        adapter = _TimedAdapter(self._deadline)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def resolve_redirects(self, *_: Any, **__: Any) -> Iterator[Any]:
        """Follow nothing. requests reads the target even if redirects are off, and fails at some."""
        return iter(())

    def close(self) -> None:
        """Close all connections now; urllib3 leaves that to the garbage collector."""
        super().close()
        self._deadline.close()

    @contextmanager
    def end_within(self, seconds: float) -> Iterator[None]:
        """Cut the session's connections if the block is not over after that many seconds.

        Raises:
            LateError: it was not over by then.
        """
        try:
            with self._deadline.running(seconds):
                yield
        except (requests.RequestException, OSError) as error:
            if self._deadline.is_over:
                raise LateError(f"no whole answer within {seconds:.0f} s") from error
            raise
        if self._deadline.is_over:  # what was read may end where it was cut
            raise LateError(f"no whole answer within {seconds:.0f} s")


def _add_no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Leave the request as it is, so that no entry of ~/.netrc adds a password to it."""
    return request


class _Deadline:
    """Ends what a session's connections wait for once the time of an exchange is over."""

    def __init__(self) -> None:
        self.is_over = False
        self._is_running = False
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._released: set[socket.socket] = set()

    @contextmanager
    def running(self, seconds: float) -> Iterator[None]:
        self.is_over = False
        self._is_running = True
        timer = threading.Timer(seconds, self._end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            with self._lock:
                self._is_running = False
                self._close_released()

    def watch(self, connected: socket.socket) -> socket.socket:
        """Take in a new connection. Returns what `release` takes: TLS replaces the socket that it wraps."""
        watched = connected.dup()
        with self._lock:
            self._open.add(watched)
            if self.is_over:
                _cut(watched)
        return watched

    def release(self, watched: socket.socket) -> None:
        """Let go of a connection that was closed. Its answer may still be read until the exchange is over."""
        with self._lock:
            self._released.add(watched)
            if not self._is_running:
                self._close_released()

    def close(self) -> None:
        """End and let go of all connections."""
        with self._lock:
            for watched in self._open:
                _cut(watched)
            self._released |= self._open
            self._close_released()

    def _end(self) -> None:
        with self._lock:
            if self._is_running:
                self.is_over = True
                for watched in self._open:
                    _cut(watched)

    def _close_released(self) -> None:
        for watched in self._released:
            watched.close()
        self._open -= self._released
        self._released.clear()


def _cut(watched: socket.socket) -> None:
    with suppress(OSError):
        watched.shutdown(socket.SHUT_RDWR)


class _TimedAdapter(HTTPAdapter):
    """Connects so that a deadline knows of each connection."""

    def __init__(self, deadline: _Deadline) -> None:
        self._pools = _make_pools(deadline)
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Prepare for direct connections."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **options: Any) -> PoolManager:
        """Prepare for connections through a proxy. One for SOCKS connects in its own way, unwatched."""
        manager: PoolManager = super().proxy_manager_for(proxy, **options)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = self._pools
        return manager


def _make_pools(deadline: _Deadline) -> dict[str, type[HTTPConnectionPool]]:
    class Timed(HTTPConnection):
        _watched: socket.socket | None = None

        def _new_conn(self) -> socket.socket:
            connected = super()._new_conn()
            self._watched = deadline.watch(connected)
            return connected

        def close(self) -> None:
            super().close()
            if self._watched:
                deadline.release(self._watched)
                self._watched = None

    class TimedTLS(Timed, HTTPSConnection):
        pass

    class Pool(HTTPConnectionPool):
        ConnectionCls = Timed

    class TLSPool(HTTPSConnectionPool):
        ConnectionCls = TimedTLS

    return {"http": Pool, "https": TLSPool}
