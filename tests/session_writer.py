"""Writes session files as pi writes them, one line after the other, for stories that no recording tells."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

START = datetime(2025, 3, 1, 10, 0, tzinfo=UTC)
PRICES = {"input": 3e-6, "output": 15e-6, "cacheRead": 3e-7, "cacheWrite": 375e-8}


def usage(**tokens: int) -> dict[str, Any]:
    """A usage block, priced as the sample sessions' model is."""
    counts = dict.fromkeys(PRICES, 0) | tokens
    cost = {kind: count * PRICES[kind] for kind, count in counts.items()}
    return {**counts, "totalTokens": sum(counts.values()), "cost": {**cost, "total": sum(cost.values())}}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def thinking(words: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": words}


def tool_call(call_id: str, name: str, arguments: Any) -> dict[str, Any]:
    return {"type": "toolCall", "id": call_id, "name": name, "arguments": arguments}


def image(data: str) -> dict[str, Any]:
    return {"type": "image", "data": data, "mimeType": "image/png"}


class SessionWriter:
    """One session file; every entry hangs off the one before and ends a second after it."""

    def __init__(
        self,
        path: Path,
        session_id: str = "0195500a-0000-7000-8000-000000000001",
        *,
        cwd: str = "/home/dev/work/shop",
        start: datetime = START,
        **header: Any,
    ) -> None:
        self.path = path
        self.session_id = session_id
        self.now = start
        self.entries = 0
        self.last: str | None = None
        path.parent.mkdir(parents=True, exist_ok=True)
        self.line({"type": "session", "version": 3, "id": session_id, **self._time(), "cwd": cwd, **header})

    def line(self, value: Any) -> None:
        self.raw(json.dumps(value).encode() + b"\n")

    def raw(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)

    def wait(self, **span: float) -> None:
        self.now += timedelta(**span)

    def entry(self, kind: str, **fields: Any) -> str:
        self.wait(seconds=1)
        self.entries += 1
        entry_id = f"{self.entries:08x}"
        self.line({"type": kind, "id": entry_id, "parentId": self.last, **self._time(), **fields})
        self.last = entry_id
        return entry_id

    def message(self, role: str, started_s: float = 0.0, **fields: Any) -> str:
        """A message that began `started_s` before its line was written."""
        started_ms = round((self.now.timestamp() + 1 - started_s) * 1000)
        return self.entry("message", message={"role": role, **fields, "timestamp": started_ms})

    def user(self, content: Any) -> str:
        return self.message("user", content=content)

    def assistant(self, *blocks: dict[str, Any], stop: str = "stop", **fields: Any) -> str:
        model = {"api": "openai-completions", "provider": "mock", "model": "mock-1"}
        call = {
            "usage": usage(input=100, output=20),
            "responseId": f"{self.session_id}-{self.entries}",
            "stopReason": stop,
        }
        return self.message("assistant", 0.5, content=list(blocks), **(model | call | fields))

    def result(self, call_id: str, name: str, *blocks: dict[str, Any], **fields: Any) -> str:
        defaults = {"isError": False}
        return self.message(
            "toolResult", toolCallId=call_id, toolName=name, content=list(blocks), **(defaults | fields)
        )

    def turn(self, prompt: str, answer: str, **fields: Any) -> None:
        """One prompt and its answer: one generation and one trace."""
        self.user(prompt)
        self.assistant(text(answer), **fields)

    def _time(self) -> dict[str, str]:
        return {"timestamp": self.now.isoformat(timespec="milliseconds").replace("+00:00", "Z")}
