"""A fake PostHog on the loopback that reads every request, throws it away and answers 200.

    python -m benchmarks.sink [--no-ai]

It prints its address, and ends when its stdin does. `GET /` returns what came: requests, bytes of their
bodies, and events in the bodies without compression. With `--no-ai` it has no endpoint for AI events (404).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

AI_PATH = "/i/v0/ai/batch/"
_CHUNK = 1 << 20
_EVENT = b'"distinct_id":'  # its quotes would be escaped inside of a string


class Server(ThreadingHTTPServer):
    """Counts requests, bytes and events."""

    daemon_threads = True

    def __init__(self, has_ai: bool) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.has_ai = has_ai
        self.lock = threading.Lock()
        self.counts = {"requests": 0, "bytes": 0, "events": 0}


class Handler(BaseHTTPRequestHandler):
    """Reads a body and answers 200."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_POST(self) -> None:
        """Read a batch and count it."""
        left = int(self.headers.get("Content-Length", 0))
        packed = self.headers.get("Content-Encoding") == "gzip" or "compression=gzip" in self.path
        size, events, tail = left, 0, b""
        while left > 0:
            chunk = self.rfile.read(min(left, _CHUNK))
            if not chunk:
                break
            left -= len(chunk)
            if not packed:
                tail += chunk
                events += tail.count(_EVENT)
                tail = tail[1 - len(_EVENT) :]
        with self.server.lock:
            for name, more in (("requests", 1), ("bytes", size), ("events", events)):
                self.server.counts[name] += more
        there = self.server.has_ai or not self.path.startswith(AI_PATH.rstrip("/"))
        self._answer(200 if there else 404, b'{"status":"Ok"}')

    def do_GET(self) -> None:
        """Answer with the counts."""
        with self.server.lock:
            self._answer(200, json.dumps(self.server.counts).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server wants
        """Log nothing."""


@contextmanager
def run_sink(*, has_ai: bool = True) -> Iterator[str]:
    """Run a sink in a process of its own and give its address."""
    command = [sys.executable, "-m", "benchmarks.sink", *([] if has_ai else ["--no-ai"])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdin  # noqa: S101 - asked for above
        assert process.stdout  # noqa: S101
        yield process.stdout.readline().strip()
        process.stdin.close()


def read_counts(address: str) -> dict[str, int]:
    """Ask a sink what it was sent."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(address, timeout=60) as answer:
        return dict(json.load(answer))


def main() -> None:
    """Serve until stdin ends."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--no-ai", action="store_true", help="answer 404 where AI events go")
    server = Server(has_ai=not parser.parse_args().no_ai)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)  # noqa: T201
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main()
