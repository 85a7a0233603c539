"""A history that takes several requests, and a backfill of it that something happens to on its way."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from tests.command import Command
from tests.posthog_server import PostHogServer
from tests.session_writer import START, SessionWriter


def write_history(folder: Path, files: int, turns: int) -> Path:
    """Write so many sessions of so many prompts each, two events a prompt; gives the folder."""
    for number in range(files):
        start = START + timedelta(days=number)
        story = SessionWriter(folder / f"{number}.jsonl", f"session-{number}", start=start)
        for turn in range(turns):
            story.turn(f"prompt {turn}", f"answer {turn}")
    return folder


def started(command: Command, server: PostHogServer, history: Path, *options: str) -> subprocess.Popen[str]:
    """A backfill that is under way."""
    return command.start("backfill", history, *options, **command.destination(server))


def wait_until(
    condition: Callable[[], object], process: subprocess.Popen[str], timeout_s: float = 30.0
) -> None:
    """Wait for something that happens while the backfill runs."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert process.poll() is None, "the backfill ended too early"
        assert time.monotonic() < end_s
        time.sleep(0.001)
