"""A scripted OpenAI-compatible model on loopback."""

import json
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HANG_LIMIT = 60.0
SCRIPT_ENDED = "the script has ended"


@dataclass(frozen=True)
class Tool:
    """One tool call that the model asks for."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One answer of the model.

    `prompt` counts all input tokens, the `cached` and `cache_write` ones included, as OpenAI does.
    `delay` is the wait before the first byte; `hang` streams the content and then never finishes;
    `status` other than 200 answers with that HTTP error and `error` as its message.
    """

    text: str = ""
    thinking: str = ""
    tools: tuple[Tool, ...] = ()
    prompt: int = 100
    completion: int = 20
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0
    finish: str | None = None
    delay: float = 0.03
    hang: bool = False
    status: int = 200
    error: str = ""


@dataclass
class MockModel:
    """Context manager: serves its script in order; `requests` holds every body it was sent.

    Calls without tools are pi's own (compaction, branch summary); those get `summary`, however many
    there are, so that a script need not know how pi splits the work.
    """

    script: deque[Step] = field(default_factory=deque)
    summary: Step = Step("## Goal\nsummary of the work so far", prompt=777, completion=33)
    requests: list[dict[str, Any]] = field(default_factory=list)
    api_key: str = "sk-live-123"

    def then(self, *steps: Step) -> None:
        """Append answers to the script."""
        self.script.extend(steps)

    @property
    def base_url(self) -> str:
        """What `models.json` wants as `baseUrl`."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/v1"

    def __enter__(self) -> "MockModel":
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.model = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=10)

    def _answer(self, body: dict[str, Any]) -> tuple[int, Step]:
        with self._lock:
            self.requests.append(body)
            number = len(self.requests)
            if not body.get("tools"):
                return number, self.summary
            # 400 is final for the agent: a story that asks too much fails at once.
            step = self.script.popleft() if self.script else Step(status=400, error=SCRIPT_ENDED)
        return number, step


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    model: MockModel

    def handle_error(self, request: Any, client_address: Any) -> None:
        """An agent that aborts closes its connection: nothing to report."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, *_: object) -> None:
        """Keep the test output clean."""

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self.path.endswith("/chat/completions"):
            self._refuse(404, f"no such path: {self.path}")
            return
        model = self.server.model
        body = json.loads(raw)
        number, step = model._answer(body)
        if model._closing.wait(step.delay):
            return
        if step.status != 200:
            self._refuse(step.status, step.error)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for chunk in _chunks(number, str(body.get("model")), step):
            self._send(f"data: {json.dumps(chunk)}\n\n")
        if step.hang:
            self._hang(model)
        else:
            self._send("data: [DONE]\n\n")

    def _hang(self, model: MockModel) -> None:
        until = time.monotonic() + HANG_LIMIT
        while time.monotonic() < until and not model._closing.wait(0.05):
            self._send(": still here\n\n")

    def _refuse(self, status: int, message: str) -> None:
        body = json.dumps({"error": {"message": message, "type": "mock"}}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send(self, text: str) -> None:
        self.wfile.write(text.encode())
        self.wfile.flush()


def _chunks(number: int, model: str, step: Step) -> Iterator[dict[str, Any]]:
    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        head = {
            "id": f"chatcmpl-{number:06d}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
        }
        return {**head, "model": model, "choices": [choice]}

    yield chunk({"role": "assistant"})
    if step.thinking:
        yield chunk({"reasoning_content": step.thinking})
    if step.text:
        yield chunk({"content": step.text})
    for index, tool in enumerate(step.tools):
        function = {"name": tool.name, "arguments": json.dumps(tool.arguments)}
        call = {"index": index, "id": f"call_{number}_{index}", "type": "function", "function": function}
        yield chunk({"tool_calls": [call]})
    if step.hang:
        return
    last = chunk({}, step.finish or ("tool_calls" if step.tools else "stop"))
    yield {**last, "usage": _usage(step)}


def _usage(step: Step) -> dict[str, Any]:
    return {
        "prompt_tokens": step.prompt,
        "completion_tokens": step.completion,
        "total_tokens": step.prompt + step.completion,
        "prompt_tokens_details": {"cached_tokens": step.cached, "cache_write_tokens": step.cache_write},
        "completion_tokens_details": {"reasoning_tokens": step.reasoning},
    }
