"""Run an hour of live traffic in minutes: does `watch` lose events, send any twice, or grow?

    python -m benchmarks.soak [--json] [--lines 100000] [--sessions 20] [--session-lines 500] [--minutes 4]

`pi2posthog watch` follows sessions that are appended to at the same time; after `--session-lines` lines a
writer begins a new session, as people do. A session that is being written is in memory as a whole, so
`--session-lines 5000` shows what long sessions take. In the end the PostHog on the loopback must hold the
events of a backfill of the same files, byte for byte and each once, and the memory of watch must not have
grown with what it read. The exit code is 1 if that is not so. Needs Linux (it reads /proc).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.measuring import read_status_mb
from tests.command import Command
from tests.posthog_server import PostHogServer
from tests.session_writer import SessionWriter, text, tool_call
from tests.watching import Watch, imported, ready, recently, sent

LINES_A_RUN = 6
# The median of the last quarter over that of the second; freed memory is not given back at once.
GROWTH_MB = 40.0
SAMPLE_S = 0.5
DRAIN_S = 300.0


def write_sessions(folder: Path, number: int, lines: int, session_lines: int, until_s: float) -> None:
    """Append runs with two tool calls to one session after the other, spread evenly until ``until_s``."""
    runs, runs_a_session = lines // LINES_A_RUN, max(1, session_lines // LINES_A_RUN)
    began_s = time.monotonic()
    for run in range(runs):
        if run % runs_a_session == 0:
            name = f"{number}-{run // runs_a_session}"
            story = SessionWriter(folder / f"{name}.jsonl", f"session-{name}", start=recently(hours=6))
        story.user(f"prompt {run} of session {number}")
        for step in range(2):
            story.assistant(tool_call(f"c{run}-{step}", "read", {"path": "main.py"}), stop="toolUse")
            story.result(f"c{run}-{step}", "read", text("line of code\n" * 20))
        story.assistant(text(f"answer {run}"))
        time.sleep(max(0.0, began_s + (until_s - began_s) * (run + 1) / runs - time.monotonic()))


def soak(lines: int, sessions: int, session_lines: int, minutes: float) -> dict[str, Any]:
    """Write sessions, watch them, and compare what came with a backfill; return the figures."""
    with tempfile.TemporaryDirectory() as name, PostHogServer() as server:
        folder = Path(name) / "sessions"
        command = Command(Path(name) / "home")
        with Watch(command, server, folder, "--settle", 1, POSTHOG_INPUT_CONTEXT="new") as watch:
            ready(server, folder)
            started_s = time.monotonic()
            until_s = started_s + minutes * 60
            each = lines // sessions
            writers = [
                threading.Thread(target=write_sessions, args=(folder, number, each, session_lines, until_s))
                for number in range(sessions)
            ]
            for writer in writers:
                writer.start()
            samples = []
            while any(writer.is_alive() for writer in writers):
                samples.append(read_status_mb(watch.process.pid, "VmRSS"))
                time.sleep(SAMPLE_S)
            wrote_s = time.monotonic() - started_s
            expected = imported(folder, input_context="new")
            _await_events(server, len(expected))
        there = sent(server)
        quarter = len(samples) // 4
        second, last = samples[quarter : 2 * quarter], samples[3 * quarter :]
        figures: dict[str, Any] = {
            "lines": sum(path.read_bytes().count(b"\n") for path in folder.glob("*.jsonl")),
            "sessions_at_once": sessions,
            "sessions": len(list(folder.glob("*.jsonl"))),
            "mb_written": sum(path.stat().st_size for path in folder.glob("*.jsonl")) / 1e6,
            "written_in_s": wrote_s,
            "events": len(expected),
            "delivered": len(there),
            "lost": len(expected.keys() - there.keys()),
            "not_expected": len(there.keys() - expected.keys()),
            "other_bytes": sum(there[uuid] != expected[uuid] for uuid in there.keys() & expected.keys()),
            "sent_twice": server.duplicates,
            "violations": len(server.violations) + len(server.dropped),
            "rss_mb_second_quarter": statistics.median(second),
            "rss_mb_last_quarter": statistics.median(last),
            "rss_mb_peak": max(samples),
        }
    wrong = ("lost", "not_expected", "other_bytes", "sent_twice", "violations")
    grew = figures["rss_mb_last_quarter"] - figures["rss_mb_second_quarter"]
    figures["ok"] = not any(figures[name] for name in wrong) and grew <= GROWTH_MB
    return figures


def _await_events(server: PostHogServer, events: int) -> None:
    """Wait until the server has ``events`` events, for at most DRAIN_S seconds."""
    deadline_s = time.monotonic() + DRAIN_S
    while len(server.accepted) < events and time.monotonic() < deadline_s:
        time.sleep(0.1)


def main() -> int:
    """Run and show; return 1 if something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--session-lines", type=int, default=500)
    parser.add_argument("--minutes", type=float, default=4.0)
    options = parser.parse_args()
    figures = soak(options.lines, options.sessions, options.session_lines, options.minutes)
    if options.json:
        print(json.dumps(figures, indent=2))  # noqa: T201
    else:
        table = Table("figure", "value")
        for name, value in figures.items():
            table.add_row(name, f"{value:,.1f}" if isinstance(value, float) else f"{value:,}")
        Console().print(table)
    return 0 if figures["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
