"""Measure how soon `watch` delivers an answer, and what it costs in CPU when idle and in memory.

    python -m benchmarks.latency [--json] [--samples 200] [--idle-seconds 60]

A `pi2posthog watch` follows 5,000 made-up session files, and a PostHog on the loopback takes the events.
Latency is the time from the write of an answer to its acceptance. The exit code is 1 if a goal is missed.
Needs Linux (it reads /proc).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.measuring import read_status_mb
from tests.command import Command
from tests.posthog_server import PostHogServer
from tests.session_writer import SessionWriter, text, tool_call
from tests.watching import Watch, eventually, ids, recently

FILES, PROJECTS, LIVE = 5000, 50, 10
RECENT = 100  # files written in the last day, which the watcher reads at its start
DAY_S = 24 * 3600.0
SETTLE_S = 25.0  # until the traces of the last runs are sent
GOALS = {"median_s": 0.5, "worst_s": 2.0, "idle_cpu_percent": 0.5, "peak_rss_mb": 170.0}  # all maxima


class TimingServer(PostHogServer):
    """A PostHog that notes when it took each event, by time.monotonic()."""

    def __init__(self) -> None:
        super().__init__()
        self.taken_s: dict[str, float] = {}

    def _keep(self, event: dict[str, Any]) -> None:
        super()._keep(event)
        self.taken_s.setdefault(event["properties"].get("$ai_response_id") or "", time.monotonic())


def make_corpus(folder: Path, files: int) -> None:
    """Write sessions of a few runs with tools, most of them older than a day."""
    chance = random.Random(1)  # noqa: S311 - a benchmark wants the same corpus every time
    for number in range(files):
        age_s = chance.uniform(600, DAY_S) if number < RECENT else chance.uniform(2, 365) * DAY_S
        path = folder / f"--home-dev-project-{number % PROJECTS}--" / f"{number}.jsonl"
        story = SessionWriter(path, f"session-{number}", start=recently(seconds=age_s))
        lines: list[bytes] = []
        story.raw = lines.append  # type: ignore[method-assign,assignment]
        for run in range(chance.randrange(1, 6)):
            story.user(f"prompt {run} of session {number}")
            story.assistant(tool_call(f"c{run}", "read", {"path": "src/main.py"}), stop="toolUse")
            story.result(f"c{run}", "read", text("line of code\n" * 40))
            story.assistant(text("an answer of some words " * 10), responseId=f"{number}-{run}")
        with path.open("ab") as file:
            file.write(b"".join(lines))
        os.utime(path, (story.now.timestamp(),) * 2)


def measure_latencies(folder: Path, server: TimingServer, samples: int) -> list[float]:
    """Measure ``samples`` latencies one after the other, in seconds, spread over some live sessions."""
    chance = random.Random(2)  # noqa: S311 - and the same pauses
    stories = [
        SessionWriter(folder / f"--live-{n}--" / "s.jsonl", f"live-{n}", start=recently(minutes=n + 1))
        for n in range(LIVE)
    ]
    found = []
    for number in range(samples):
        story, name = chance.choice(stories), f"sample-{number}"
        story.user(f"prompt {number}")
        time.sleep(chance.uniform(0.0, 0.3))
        story.assistant(text("an answer"), responseId=name)
        written_s = time.monotonic()
        eventually(lambda: name in server.taken_s, f"sample {number}")  # noqa: B023
        found.append(server.taken_s[name] - written_s)
    return found


def read_cpu_s(pid: int) -> float:
    """Read the CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(samples: int, idle_s: float, files: int) -> dict[str, float]:
    """Run a watcher and measure it."""
    with tempfile.TemporaryDirectory() as place, TimingServer() as server:
        folder = Path(place) / "sessions"
        make_corpus(folder, files)
        began_s = time.monotonic()
        with Watch(Command(Path(place) / "home"), server, folder, "-q") as watch:
            pid = watch.process.pid
            eventually(lambda: len(ids(server, "trace")) >= RECENT, "the recent sessions")
            started_s = time.monotonic() - began_s
            found = measure_latencies(folder, server, samples)
            time.sleep(SETTLE_S)
            before_s, asleep_s = read_cpu_s(pid), time.monotonic()
            time.sleep(idle_s)
            used = (read_cpu_s(pid) - before_s) / (time.monotonic() - asleep_s)
            return {
                "samples": samples,
                "median_s": statistics.median(found),
                "p95_s": sorted(found)[int(len(found) * 0.95)],
                "worst_s": max(found),
                "files": files,
                "start_s": started_s,
                "idle_seconds": idle_s,
                "idle_cpu_percent": 100 * used,
                "rss_mb": read_status_mb(pid, "VmRSS"),
                "peak_rss_mb": read_status_mb(pid, "VmHWM"),
            }


def main() -> int:
    """Measure and show; return 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description="Latency of the live tail, and its cost when idle.")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--idle-seconds", type=float, default=60.0)
    parser.add_argument("--files", type=int, default=FILES)
    asked = parser.parse_args()
    figures = measure(asked.samples, asked.idle_seconds, asked.files)
    missed = [name for name, goal in GOALS.items() if figures[name] > goal]
    if asked.json:
        sys.stdout.write(json.dumps(figures | {"goals": GOALS, "missed": missed}, indent=2) + "\n")
        return 1 if missed else 0
    table = Table("figure", "measured", "goal", "")
    for name, value in figures.items():
        goal = GOALS.get(name)
        verdict = "" if goal is None else "missed" if name in missed else "kept"
        table.add_row(name, f"{value:,.3f}".rstrip("0").rstrip("."), f"≤ {goal:g}" if goal else "", verdict)
    Console().print(table)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
