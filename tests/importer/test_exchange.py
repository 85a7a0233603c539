"""An exchange ends in time, whatever the server does with the connection."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import requests

from importer.deliver.delivery import Delivery
from importer.deliver.retry import RetryPolicy
from importer.errors import DeliveryError
from importer.exchange import LateError, TimedSession
from tests.delivering import KEY, envelope
from tests.posthog_server import PostHogServer

YES = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{"status":1}'
HEAD = b"HTTP/1.1 200 OK\r\n"
DRIPS = {
    "headers": (HEAD, b"x"),
    "a body of known length": (HEAD + b"Content-Length: 60000\r\n\r\n", b" "),
    "a body of unknown length": (HEAD + b"Connection: close\r\n\r\n", b" "),
    "a body in chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "a yes that goes on": (HEAD + b'Connection: close\r\n\r\n{"status":1}', b" "),
    "nothing": (b"", b""),
}


class RawServer:
    """Answers the nth request with the nth of the answers: bytes at once, then bytes again and again."""

    def __init__(self, *answers: tuple[bytes, bytes]) -> None:
        self._answers = list(answers)
        self._stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0
        self.requests = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> RawServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connected, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connected,), daemon=True).start()

    def _serve(self, connected: socket.socket) -> None:
        with contextlib.suppress(OSError), connected:
            connected.settimeout(20)
            while _read_request(connected):
                self.requests += 1
                first, drip = self._answers.pop(0)
                connected.sendall(first)
                while drip or not first:
                    if self._stopping.wait(0.05):
                        return
                    connected.sendall(drip)


def _read_request(connected: socket.socket) -> bool:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := connected.recv(65536)):
            return False
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    left = int(lengths[0].split(b":")[1]) - len(body) if lengths else 0
    while left > 0:
        left -= len(connected.recv(left))
    return True


@contextlib.contextmanager
def sending(server: RawServer, exchange_s: float) -> Iterator[Delivery]:
    policy = RetryPolicy(attempts=2, first_s=0.05, exchange_s=exchange_s)
    with Delivery(host=f"http://{server.address}", api_key=KEY, retry=policy) as delivery:
        yield delivery


@pytest.mark.parametrize("kind", DRIPS)
def test_an_answer_that_drips_is_cut_off_and_the_next_try_delivers(kind):
    retries = []
    with RawServer(DRIPS[kind], (YES, b"")) as server:
        policy = RetryPolicy(attempts=2, first_s=0.05, exchange_s=0.5)
        began_s = time.monotonic()
        with Delivery(
            host=f"http://{server.address}",
            api_key=KEY,
            retry=policy,
            on_retry=lambda reason, wait_s: retries.append(reason),
        ) as delivery:
            delivery.add(envelope())
        assert time.monotonic() - began_s < 5
        assert (delivery.counters.delivered, delivery.counters.unanswered) == (1, 1)
    (reason,) = retries
    assert "no whole answer within" in reason


def test_a_server_that_only_drips_ends_in_one_line():
    with (
        RawServer(*[DRIPS["headers"]] * 2) as server,
        pytest.raises(DeliveryError, match=r"no whole answer within \d+ s"),
        sending(server, 0.3) as delivery,
    ):
        delivery.add(envelope())


@pytest.mark.parametrize("status", [102, 103, 199])
def test_an_informational_answer_is_none_and_what_follows_it_answers_no_other_request(status):
    early = b"HTTP/1.1 %d Early\r\n\r\n" % status
    with RawServer((early + YES, b""), (YES, b"")) as server:
        with sending(server, 5) as delivery:
            delivery.add(envelope())
        assert (server.requests, server.connections) == (2, 2)
        assert delivery.counters.delivered == 1


def test_a_handshake_that_drips_is_cut_off():
    with RawServer((b"", b"")) as server, TimedSession() as session:
        began_s = time.monotonic()
        with pytest.raises(LateError), session.end_within(0.4):
            session.get(f"https://{server.address}/", timeout=20)
        assert time.monotonic() - began_s < 5


def test_a_session_is_of_use_again_after_a_deadline_and_leaves_no_socket_open():
    with PostHogServer(KEY) as posthog, RawServer(DRIPS["headers"]) as server, TimedSession() as session:
        with pytest.raises(LateError), session.end_within(0.2):
            session.get(f"http://{server.address}/", timeout=20)
        for _ in range(3):
            with session.end_within(5), session.post(f"{posthog.url}/batch/", data=b"{}") as response:
                assert response.status_code in (400, 401)
        watched = session._deadline._open
        assert len(watched) == 1
    assert not watched


def test_an_error_before_the_deadline_stays_what_it_was():
    with TimedSession() as session, pytest.raises(requests.ConnectionError) as raised, session.end_within(5):
        session.get("http://127.0.0.1:9/", timeout=2)
    assert not isinstance(raised.value, LateError)
