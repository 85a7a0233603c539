"""Run the command line in a process of its own, with an empty home and a clean environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.posthog_server import PostHogServer

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "sample_sessions"
TIMEOUT_S = 60


@dataclass
class Finished:
    """A command that has ended: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value

    @property
    def error_lines(self) -> list[str]:
        return self.err.splitlines()


class Command:
    """`python -m importer` for one user, whose home is an empty folder at first.

    Example::

        command = Command(tmp_path / "home")
        assert command("preview", SAMPLES, "--json").json["events"] > 0
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir(exist_ok=True)

    def environment(self, **more: str) -> dict[str, str]:
        system = {k: os.environ[k] for k in ("PATH", "SYSTEMROOT", "TMPDIR") if k in os.environ}
        base = {"HOME": str(self.home), "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", "NO_PROXY": "*"}
        base["POSTHOG_CONTENT_DAYS"] = "all"  # the samples grow older than 30 days
        return system | base | more

    def start(self, *arguments: object, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "importer", *map(str, arguments)],
            env=self.environment(**environment),
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="backslashreplace",
        )

    def __call__(self, *arguments: object, **environment: str) -> Finished:
        return finish(self.start(*arguments, **environment))

    def send(self, server: PostHogServer, *arguments: object, **environment: str) -> Finished:
        """Run `backfill` to the loopback server."""
        return self("backfill", *arguments, **self.destination(server), **environment)

    @staticmethod
    def destination(server: PostHogServer) -> dict[str, str]:
        return {"POSTHOG_HOST": server.url, "POSTHOG_API_KEY": server.api_key}

    @property
    def ledger(self) -> Path:
        return self.home / ".local" / "state" / "pi2posthog" / "ledger.sqlite3"


def finish(process: subprocess.Popen[str], timeout_s: float = TIMEOUT_S) -> Finished:
    """Wait for a command to end; kill one that hangs and fail the test."""
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"the command did not end within {timeout_s} s: {err}") from None
    assert "Traceback" not in err, err
    return Finished(process.returncode, out, err)


def tree(folder: Path) -> dict[str, int]:
    """List every file and folder under a folder, with its time of change in ns."""
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in sorted(folder.rglob("*"))}
