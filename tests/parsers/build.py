"""Writes a session as pi would, so that a test reads like the transcript that it parses.

    talk = Transcript()
    talk.user("list the files")
    talk.assistant("let me look", call("c1", "bash", command="ls"))
    talk.result("c1", "notes.txt")
    talk.assistant("one file")
    records = talk.read().records

Every line is written one second after the line before it, unless told otherwise with ``takes`` (ms).
"""

from typing import Any

from parsers.times import to_rfc3339
from tests.parsers.encodings import as_pi_writes
from tests.parsers.reading import Reading, read

START_MS = 1_790_000_000_000
SECOND = 1000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
LINE_BEFORE: Any = object()
"""The parent of an entry that nothing else was said of."""


def call(call_id: str, name: str = "bash", **arguments: Any) -> dict[str, Any]:
    """A tool call block."""
    return {"type": "toolCall", "id": call_id, "name": name, "arguments": arguments}


def text(value: str) -> dict[str, Any]:
    """A text block."""
    return {"type": "text", "text": value}


IMAGE = {"type": "image", "mimeType": "image/png", "data": "iVBORw0KGgo="}


def usage(fresh: int = 100, output: int = 20, read: int = 0, write: int = 0) -> dict[str, Any]:
    """A usage block that costs 1, 2, 0.1 and 1.5 dollars a million tokens."""
    cost = {
        "input": fresh / 1e6,
        "output": 2 * output / 1e6,
        "cacheRead": read / 1e7,
        "cacheWrite": 1.5 * write / 1e6,
    }
    return {
        "input": fresh,
        "output": output,
        "cacheRead": read,
        "cacheWrite": write,
        "totalTokens": fresh + output + read + write,
        "cost": {**cost, "total": sum(cost.values())},
    }


class Transcript:
    """A session file in the making; every method adds a line and returns its entry id."""

    def __init__(self, version: int = 3, start_ms: int = START_MS, **header: Any) -> None:
        self.version = version
        self.now_ms = start_ms
        self.leaf: str | None = None
        self.lines: list[bytes] = []
        self.entries: list[dict[str, Any]] = []
        numbered = {} if version == 1 else {"version": version}
        head = {"type": "session", **numbered, "id": "s1", "timestamp": to_rfc3339(start_ms), "cwd": "/shop"}
        self.raw(as_pi_writes({**head, **header}))

    def raw(self, line: bytes) -> None:
        """Add a line as it is."""
        self.lines.append(line + b"\n")

    def wait(self, ms: int) -> None:
        """Let time pass."""
        self.now_ms += ms

    def entry(
        self,
        entry_type: str,
        /,
        *,
        takes: int = SECOND,
        parent: Any = LINE_BEFORE,
        entry_id: str | None = None,
        **fields: Any,
    ) -> str:
        """Add an entry of any type."""
        self.now_ms += takes
        entry_id = entry_id or f"e{len(self.lines):03}"
        entry: dict[str, Any] = {"type": entry_type}
        if self.version > 1:
            entry |= {"id": entry_id, "parentId": self.leaf if parent is LINE_BEFORE else parent}
        entry |= {"timestamp": to_rfc3339(self.now_ms), **fields}
        self.entries.append(entry)
        self.raw(as_pi_writes(entry))
        self.leaf = entry_id
        return entry_id

    def message(
        self,
        role: str,
        *,
        takes: int = SECOND,
        began: int | None = None,
        at: Any = LINE_BEFORE,
        **fields: Any,
    ) -> str:
        """Add a message whose own time is ``began``, by default the moment at which it is written."""
        own_ms = self.now_ms + takes if began is None else began
        message = {"role": role, **fields, "timestamp": own_ms}
        return self.entry("message", takes=takes, parent=at, message=message)

    def system(self, content: str = "", *, takes: int = SECOND, **fields: Any) -> str:
        """The system prompt, or a patch of it."""
        return self.message("system", takes=takes, content=content, **fields)

    def user(self, said: Any, *, at: Any = LINE_BEFORE, takes: int = SECOND) -> str:
        """A prompt typed to an idle agent: pi writes it a millisecond later."""
        return self.message("user", takes=takes, began=self.now_ms + takes - 1, at=at, content=said)

    def queued(self, said: Any, *, typed_ago: int) -> str:
        """A message typed while the run was going on, and written once the agent got to it."""
        return self.message("user", takes=1, began=self.now_ms - typed_ago, content=said)

    def assistant(self, *content: Any, at: Any = LINE_BEFORE, takes: int = SECOND, **fields: Any) -> str:
        """An answer that took ``takes`` ms; texts and blocks."""
        blocks = [text(part) if isinstance(part, str) else part for part in content]
        asks = any(block.get("type") == "toolCall" for block in blocks)
        answer = {
            "content": blocks,
            "provider": "mock",
            "model": "mock-1",
            "usage": usage(),
            "stopReason": "toolUse" if asks else "stop",
            **fields,
        }
        return self.message("assistant", takes=takes, began=self.now_ms, at=at, **answer)

    def result(
        self, call_id: str, said: Any = "done", *, at: Any = LINE_BEFORE, takes: int = SECOND, **fields: Any
    ) -> str:
        """A tool's result."""
        content = [text(said)] if isinstance(said, str) else said
        answer = {"toolCallId": call_id, "toolName": "bash", "content": content, "isError": False, **fields}
        return self.message("toolResult", takes=takes, at=at, **answer)

    def bash(self, command: str, output: str = "", exit_code: int | None = 0, **fields: Any) -> str:
        """The user's own ``!command``."""
        ran = {
            "command": command,
            "output": output,
            "exitCode": exit_code,
            "cancelled": False,
            "truncated": False,
        }
        return self.message("bashExecution", **{**ran, **fields})

    def compaction(self, summary: str, keeps: Any = None, **fields: Any) -> str:
        """A compaction that keeps the entries from ``keeps`` on, or nothing."""
        entry_id = f"e{len(self.lines):03}"
        fields = {"tokensBefore": 1000, "firstKeptEntryId": keeps or entry_id, **fields}
        return self.entry("compaction", summary=summary, **fields)

    @property
    def data(self) -> bytes:
        """The whole file."""
        return b"".join(self.lines)

    def read(self, **options: Any) -> Reading:
        """The file, parsed."""
        return read(self.data, **options)
