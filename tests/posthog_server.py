"""A PostHog on 127.0.0.1 for tests: takes `POST /batch/` and `/i/v0/ai/batch/` as the real one does.

It remembers what it saw.

What it checks comes from PostHog's capture docs (https://posthog.com/docs/api/capture) and from its capture
service: status codes, the size limit of `$ai_*` events, one event kept per envelope.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import struct
import threading
import time
import uuid
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

import msgspec

MAX_AI_EVENT = 983_040
MAX_AI_LANE_EVENT = 8 * 1024 * 1024
AI_PATH = "/i/v0/ai/batch/"
MAX_BODY = 20 * 1024 * 1024
HISTORICAL_AGE_S = 48 * 3600


@dataclass
class Fault:
    """What the server does to one request instead of, or besides, answering it as usual.

    `status` answers with that instead of taking the events (200 with `body`: answers, takes nothing).
    `reset` cuts the connection: amid the body, before the events are taken, or after. `delay_s` waits before
    answering.
    """

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    reset: Literal["amid", "before", "after"] | None = None
    delay_s: float = 0.0


@dataclass
class Request:
    """What one request held. Sizes are in bytes."""

    path: str
    headers: dict[str, str]
    connection: int
    gzip: bool = False
    packed: bytes = b""
    raw_size: int = 0
    uuids: list[str] = field(default_factory=list)
    historical: bool = False
    sent_at: str | None = None
    status: int | None = None  # None: no answer, the connection was cut

    @property
    def events(self) -> int:
        return len(self.uuids)


class _Refused(Exception):  # noqa: N818 - an answer, not an error of the server
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class PostHogServer:
    """Runs while its `with` block does; `url` is what goes into `POSTHOG_HOST`.

    accepted: the events it keeps, as dictionaries, in the order they came, each envelope once.
    requests: one `Request` per request. violations: what no client should do. dropped: events it ignored.
    duplicates: events that came again with the same envelope. faults: taken from the front, one a request.
    max_ai_event, max_ai_lane_event: bytes of an AI event at `/batch/` and at the AI endpoint.
    no_ai_lane: the status with which an older server answers at the AI endpoint, such as 404.
    not_valid: uuids of events for which the whole request is refused with 400.
    """

    def __init__(
        self,
        api_key: str = "phc_test",
        *,
        max_ai_event: int = MAX_AI_EVENT,
        max_ai_lane_event: int = MAX_AI_LANE_EVENT,
        max_body: int = MAX_BODY,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.api_key = api_key
        self.max_ai_event = max_ai_event
        self.max_ai_lane_event = max_ai_lane_event
        self.no_ai_lane: int | None = None
        self.not_valid: set[str] = set()
        self.max_body = max_body
        self.clock = clock
        self.accepted: list[dict[str, Any]] = []
        self.requests: list[Request] = []
        self.violations: list[str] = []
        self.dropped: list[Any] = []
        self.duplicates = 0
        self.connections = 0
        self.faults: list[Fault] = []
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self._envelopes: dict[str, tuple[Any, ...]] = {}
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.posthog = self
        self._scheme = "http"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def wrap(self, context: ssl.SSLContext) -> None:
        """Speak TLS from now on."""
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._scheme = "https"

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> PostHogServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.close_connections()
        self._server.server_close()  # waits for the threads of all connections
        self._thread.join()

    def take(self, request: Request, body: bytes) -> None:
        """Check a body as PostHog does and keep its events; raise _Refused. The caller has the lock."""
        if len(body) > self.max_body:
            raise _Refused(413, "request body too large")
        request.raw_size = len(body)
        try:
            payload = json.loads(body)
            raw_events = msgspec.json.decode(body, type=dict[str, msgspec.Raw])["batch"]
            sizes = [len(raw) for raw in msgspec.json.decode(raw_events, type=list[msgspec.Raw])]
            batch = payload["batch"]
        except (ValueError, KeyError, TypeError, msgspec.MsgspecError) as error:
            raise _Refused(400, f"failed to parse request: {error}") from error
        request.uuids = [str(event.get("uuid")) for event in batch]
        request.historical = bool(payload.get("historical_migration"))
        request.sent_at = payload.get("sent_at")
        if payload.get("api_key") != self.api_key:
            raise _Refused(401, "API key is not valid: not_known")
        if not batch:
            raise _Refused(400, "request holds no event")
        in_ai_lane = request.path == AI_PATH
        limit = self.max_ai_lane_event if in_ai_lane else self.max_ai_event
        for event, size in zip(batch, sizes, strict=True):
            is_ai = str(event.get("event")).startswith("$ai_")
            if in_ai_lane and not is_ai:
                self.violations.append(f"{event.get('event')} at the endpoint for AI events")
                raise _Refused(400, "event is not an AI event")
            if is_ai and size > limit:
                raise _Refused(
                    413, f"maximum AI event size exceeded: {size} bytes, over the {limit}-byte limit"
                )
            if event.get("uuid") in self.not_valid:
                raise _Refused(400, "failed to parse request: invalid event")
        times = [self._event_time(event) for event in batch]
        if request.historical and max(times) > self.clock() - HISTORICAL_AGE_S:
            self.violations.append("historical_migration with an event younger than 48 hours")
        for event in batch:
            self._keep(event)

    def _event_time(self, event: dict[str, Any]) -> float:
        for name in ("event", "distinct_id"):
            if not isinstance(event.get(name), str) or not event[name]:
                self.violations.append(f"event without {name}")
                raise _Refused(400, f"event submitted without {name}")
        if not isinstance(event.get("properties"), dict):
            self.violations.append("event without properties")
            raise _Refused(400, "event submitted without properties")
        try:
            when = datetime.fromisoformat(event["timestamp"])
            if when.tzinfo is None or "T" not in event["timestamp"]:
                raise ValueError
        except (KeyError, TypeError, ValueError) as error:
            self.violations.append(f"timestamp is not RFC 3339: {event.get('timestamp')!r}")
            raise _Refused(400, "invalid timestamp") from error
        return when.timestamp()

    def _keep(self, event: dict[str, Any]) -> None:
        try:
            identity = str(uuid.UUID(event["uuid"]))
        except (KeyError, ValueError, AttributeError, TypeError):
            self.dropped.append(event)
            return
        envelope = (event["timestamp"], event["distinct_id"], event["event"], identity)
        known = self._envelopes.setdefault(identity, envelope)
        if known is envelope:
            self.accepted.append(event)
        elif known == envelope:
            self.duplicates += 1
        else:
            self.violations.append(f"uuid {identity} came again with another envelope")


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # so that closing waits for them
    posthog: PostHogServer

    def __init__(self, *args: Any) -> None:
        self.open: dict[socket.socket, int] = {}  # connection: its number, from 1
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.posthog.connections += 1
        self.open[request] = self.posthog.connections
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open.pop(request, None)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: clients that go away are what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.number = self.server.open[self.connection]

    def do_POST(self) -> None:
        posthog = self.server.posthog
        length = int(self.headers.get("Content-Length") or 0)
        with posthog.lock:
            fault = posthog.faults.pop(0) if posthog.faults else Fault()
        if fault.reset == "amid":
            self.rfile.read(length // 2)
            self._reset()
            return
        packed = self.rfile.read(min(length, 4 * MAX_BODY))
        request = Request(self.path, dict(self.headers.items()), self.number, packed=packed)
        with posthog.lock:
            posthog.requests.append(request)
        if fault.delay_s:
            posthog.stopping.wait(fault.delay_s)
        if fault.reset == "before":
            self._reset()
            return
        status, body, headers = self._result(request, fault)
        if fault.reset == "after":
            self._reset()
            return
        request.status = status
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _result(self, request: Request, fault: Fault) -> tuple[int, bytes, dict[str, str]]:
        if fault.status is not None:
            return fault.status, fault.body, fault.headers
        posthog = self.server.posthog
        try:
            if request.path == AI_PATH and posthog.no_ai_lane:
                raise _Refused(posthog.no_ai_lane, "")
            if request.path not in ("/batch/", "/batch", AI_PATH):
                raise _Refused(404, "not found")
            body = self._unpacked(request)
            with posthog.lock:
                posthog.take(request, body)
        except _Refused as refused:
            return refused.status, str(refused).encode(), {"Content-Type": "text/plain; charset=utf-8"}
        return 200, b'{"status":"Ok"}', {"Content-Type": "application/json"}

    def _unpacked(self, request: Request) -> bytes:
        request.gzip = self.headers.get("Content-Encoding") == "gzip"
        if not request.gzip:
            return request.packed
        unpacker = zlib.decompressobj(wbits=31)
        try:
            body = unpacker.decompress(request.packed, self.server.posthog.max_body + 1)
        except zlib.error as error:
            raise _Refused(400, "failed to decode request: invalid gzip") from error
        if len(body) <= self.server.posthog.max_body and not unpacker.eof:
            raise _Refused(400, "failed to decode request: truncated gzip")
        return body

    def _reset(self) -> None:
        """Cut the connection so that the client sees a reset, not an orderly end."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.server.open.pop(self.connection, None)
        os.close(self.connection.detach())

    def log_message(self, *_: object) -> None:
        """Write nothing to stderr."""
