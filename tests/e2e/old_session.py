"""A session file as pi wrote it in version 1: a plain sequence, no ids, no totals of tokens."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

START = datetime(2025, 11, 20, 9, 0, tzinfo=UTC)


class _Sequence:
    """Lines of a version 1 file, one a second."""

    def __init__(self, cwd: Path) -> None:
        self.now = START
        model = {"provider": "mock", "modelId": "mock-1", "thinkingLevel": "off"}
        self.lines = [
            {"type": "session", "id": "0001-old", "timestamp": self._time(), "cwd": str(cwd), **model}
        ]

    def add(self, kind: str, **fields: Any) -> None:
        self.now += timedelta(seconds=1)
        self.lines.append({"type": kind, "timestamp": self._time(), **fields})

    def message(self, role: str, content: Any, began_s: float = 0.0, **fields: Any) -> None:
        began = self.now.timestamp() + 1 - began_s
        self.add(
            "message", message={"role": role, "content": content, **fields, "timestamp": int(began * 1000)}
        )

    def user(self, text: str) -> None:
        self.now += timedelta(minutes=5)
        self.message("user", [_text(text)])

    def assistant(self, *blocks: dict[str, Any], stop: str = "stop", tokens: int = 100) -> None:
        counts = {"input": tokens, "output": 20, "cacheRead": tokens // 2, "cacheWrite": 0}
        cost = {"input": tokens * 3e-6, "output": 3e-4, "cacheRead": tokens * 15e-8, "cacheWrite": 0}
        usage = {**counts, "cost": {**cost, "total": sum(cost.values())}}
        model = {"api": "openai-completions", "provider": "mock", "model": "mock-1"}
        self.message("assistant", list(blocks), 0.7, **model, usage=usage, stopReason=stop)

    def result(self, call_id: str, name: str, text: str, *, failed: bool = False) -> None:
        self.message("toolResult", [_text(text)], toolCallId=call_id, toolName=name, isError=failed)

    def _time(self) -> str:
        return self.now.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def write_version_1(path: Path, cwd: Path) -> Path:
    """Write three runs: 5 calls, 3 tools, and a compaction."""
    file = _Sequence(cwd)
    file.user("read the notes")
    file.assistant(
        _text("reading"),
        _call("toolu_1", "read", path="notes.txt"),
        _call("toolu_2", "bash", command="ls"),
        stop="toolUse",
    )
    file.result("toolu_1", "read", "alpha")
    file.result("toolu_2", "bash", "no such folder", failed=True)
    file.add("thinking_level_change", thinkingLevel="high")
    file.assistant(_text("it says alpha"), tokens=200)
    file.user("write it down")
    kept = len(file.lines) - 1
    file.assistant(_call("toolu_3", "write", path="a.txt", content="alpha"), stop="toolUse", tokens=300)
    file.result("toolu_3", "write", "written")
    file.assistant(_text("done"), tokens=350)
    file.add("compaction", summary="## Goal\nnotes", firstKeptEntryIndex=kept, tokensBefore=400)
    file.add("model_change", provider="mock", modelId="mock-2")
    file.user("thank you")
    file.assistant(_text("you are welcome"), tokens=150)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in file.lines))
    return path


def _text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def _call(call_id: str, name: str, **arguments: str) -> dict[str, Any]:
    return {"type": "toolCall", "id": call_id, "name": name, "arguments": arguments}
