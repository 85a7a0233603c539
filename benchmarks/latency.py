"""How soon a line that pi writes is accepted by PostHog, and what the watcher costs while nothing happens.

    python -m benchmarks.latency [--json] [--samples 200] [--idle-seconds 60]

A `pi2posthog watch` of its own tails 5,000 session files made for the occasion; a loopback PostHog takes the
events. Needs Linux (it reads /proc).
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

from tests.command import Command
from tests.posthog_server import PostHogServer
from tests.session_writer import SessionWriter, text, tool_call
from tests.watching import Watch, eventually, ids, recently

FILES, PROJECTS, LIVE = 5000, 50, 10
RECENT = 100  # of the files were written in the last day, so that the watcher reads them
DAY_S = 24 * 3600.0
GOALS = {"median_s": 0.5, "worst_s": 2.0, "idle_cpu_percent": 0.5, "rss_mb": 150.0, "peak_rss_mb": 150.0}


class TimingServer(PostHogServer):
    """Remembers when it took each event, in seconds of time.monotonic()."""

    def __init__(self) -> None:
        super().__init__()
        self.taken_s: dict[str, float] = {}

    def _keep(self, event: dict[str, Any]) -> None:
        super()._keep(event)
        self.taken_s.setdefault(event["properties"].get("$ai_response_id") or "", time.monotonic())


def make_corpus(folder: Path, files: int) -> None:
    """Sessions of some runs with tools, most of them older than a day."""
    chance = random.Random(1)  # noqa: S311 - the same corpus every time
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


def latencies(folder: Path, server: TimingServer, samples: int) -> list[float]:
    """Seconds from the write of an answer to its acceptance, one after the other over some live sessions."""
    chance = random.Random(2)  # noqa: S311 - the same rhythm every time
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


def cpu_s(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int, name: str) -> float:
    """What a process has in memory (VmRSS), or had at most (VmHWM)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def measure(samples: int, idle_s: float, files: int) -> dict[str, float]:
    """The figures, of a watcher that is started for them."""
    with tempfile.TemporaryDirectory() as place, TimingServer() as server:
        folder = Path(place) / "sessions"
        make_corpus(folder, files)
        began_s = time.monotonic()
        with Watch(Command(Path(place) / "home"), server, folder, "-q") as watch:
            pid = watch.process.pid
            eventually(lambda: len(ids(server, "trace")) >= RECENT, "the recent sessions")
            started_s = time.monotonic() - began_s
            found = latencies(folder, server, samples)
            waiting_s = 25.0  # until the last runs have settled
            time.sleep(waiting_s)
            before_s, asleep_s = cpu_s(pid), time.monotonic()
            time.sleep(idle_s)
            used = (cpu_s(pid) - before_s) / (time.monotonic() - asleep_s)
            return {
                "samples": samples,
                "median_s": statistics.median(found),
                "p95_s": sorted(found)[int(len(found) * 0.95)],
                "worst_s": max(found),
                "files": files,
                "start_s": started_s,
                "idle_seconds": idle_s,
                "idle_cpu_percent": 100 * used,
                "rss_mb": memory_mb(pid, "VmRSS"),
                "peak_rss_mb": memory_mb(pid, "VmHWM"),
            }


def main() -> int:
    """Measure, show, and return 1 if a goal was missed."""
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
