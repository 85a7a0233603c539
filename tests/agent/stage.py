"""The stage that a story plays on."""

import struct
import zlib
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.agent.install import Agent
from tests.agent.mock_model import MockModel, Tool
from tests.agent.rpc import PiAgent
from tests.agent.sandbox import Sandbox

STATS = ("userMessages", "assistantMessages", "toolCalls", "toolResults", "tokens", "cost")


@dataclass
class Stage:
    """What a story plays on: an installed agent, its model, its home; `stats` collects pi's own totals."""

    agent: Agent
    model: MockModel
    sandbox: Sandbox
    stats: dict[Path, dict[str, Any]] = field(default_factory=dict)

    def run(self, *args: str) -> PiAgent:
        """Return a process of the agent, to be entered."""
        return PiAgent(self.agent, self.model, self.sandbox, *args)

    def note(self, pi: PiAgent) -> Path:
        """Ask pi what the current session cost, keep it, and return the session's file."""
        said = pi.get_session_stats()
        self.stats[pi.session_file()] = {name: said[name] for name in STATS}
        return pi.session_file()

    def extend(self, code: Path) -> None:
        """Install an extension, for the processes started from now on."""
        self.sandbox.install_extension(code)

    def write(self, name: str, content: str | bytes) -> None:
        """Put a file into the agent's working folder."""
        (self.sandbox.cwd / name).write_bytes(content.encode() if isinstance(content, str) else content)


def tiny_png() -> bytes:
    """A PNG of two by two pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 2, 2, 8, 2, 0, 0, 0)
    pixels = (b"\0" + b"\xff\0\0\0\xff\0") * 2
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(pixels))
        + chunk(b"IEND", b"")
    )


def written_at(entry: dict[str, Any]) -> float:
    """Return the entry's own timestamp in milliseconds, as messages count."""
    return datetime.fromisoformat(entry["timestamp"]).timestamp() * 1000


def bash(command: str, **extra: Any) -> Tool:
    """A call of the bash tool; `extra` are further arguments."""
    return Tool("bash", {"command": command, **extra})


def read(path: str) -> Tool:
    """A call of the read tool."""
    return Tool("read", {"path": path})
