"""Measure session files that are made to be slow: seconds a MB, growth, and memory, beside an ordinary file.

    python -m benchmarks.hostile [--json] [--mb 1.5] [BOMB ...]

Each bomb is planned as by `preview`, in a process of its own, at one size and at twice that size. The exit
code is 1 if one exceeds the limits below. Needs no network.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from importer.plan.plan import make_plan
from importer.sessions.discovery import find_sessions
from importer.settings import Settings
from tests.bombs import BOMBS, ORDINARY

GROWTH = 3.0  # twice the bytes may take 3 times as long; 2 is linear, 4 quadratic
SECONDS_PER_MB = 20.0  # of the larger file; an ordinary session takes tenths
PEAK_MB = 1200.0
TIMEOUT_S = 300.0
NOISE_S = 0.3  # less growth than that counts as none
MB = 1_000_000


def measure(bomb: str, size: int) -> dict[str, float]:
    """Plan one bomb of about ``size`` bytes in this process; return bytes, CPU seconds, MB and events."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "sessions"
        folder.mkdir()
        written = BOMBS[bomb](folder, size) if bomb in BOMBS else ORDINARY(folder, size)
        started_s = time.process_time()
        plan = make_plan(find_sessions([folder]), Settings(), now_ms=2_000_000_000_000)
        seconds = time.process_time() - started_s
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak_mb = peak / (MB if sys.platform == "darwin" else 1024)
    return {"bytes": written, "seconds": seconds, "peak_mb": peak_mb, "events": len(plan)}


def measure_in_child(bomb: str, size: int) -> dict[str, float] | None:
    """Measure a bomb in a process of its own; None if it takes too long or fails."""
    command = [sys.executable, "-m", "benchmarks.hostile", "--child", bomb, str(size)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)  # noqa: S603
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        sys.stderr.write(done.stderr)
        return None
    return dict(json.loads(done.stdout))


def make_row(bomb: str, size: int, ordinary: float) -> dict[str, Any]:
    """Measure one bomb at both sizes; ``ordinary`` is the seconds a MB of an ordinary session."""
    once, twice = measure_in_child(bomb, size), measure_in_child(bomb, 2 * size)
    if once is None or twice is None:
        return {"bomb": bomb, "ok": False}
    per_mb = twice["seconds"] / twice["bytes"] * MB
    growth = twice["seconds"] / max(once["seconds"], 0.01) * (2 * once["bytes"] / twice["bytes"])
    is_linear = growth <= GROWTH or twice["seconds"] - once["seconds"] < NOISE_S
    return {
        "bomb": bomb,
        "mb": twice["bytes"] / MB,
        "events": twice["events"],
        "seconds": twice["seconds"],
        "seconds_per_mb": per_mb,
        "times_ordinary": per_mb / ordinary if ordinary else 1.0,
        "growth": growth,
        "peak_mb": twice["peak_mb"],
        "ok": is_linear and per_mb <= SECONDS_PER_MB and twice["peak_mb"] <= PEAK_MB,
    }


def main() -> int:
    """Measure and show; return 1 if a bomb exceeds the limits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("bombs", nargs="*", metavar="BOMB")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--mb", type=float, default=1.5, help="size of the smaller file")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measure(options.child[0], int(options.child[1]))))  # noqa: T201
        return 0
    size = round(options.mb * MB)
    plain = make_row("ordinary", size, 0.0)
    rows = [
        plain,
        *(make_row(bomb, size, plain.get("seconds_per_mb", 0.0)) for bomb in options.bombs or BOMBS),
    ]
    if options.json:
        print(json.dumps({"limits": {"growth": GROWTH, "peak_mb": PEAK_MB}, "bombs": rows}, indent=2))  # noqa: T201
    else:
        show_table(rows)
    return 0 if all(each["ok"] for each in rows) else 1


def show_table(rows: list[dict[str, Any]]) -> None:
    """Print a table."""
    table = Table("bomb", *("MB", "events", "seconds", "s/MB", "x ordinary", "growth", "peak MB", ""))
    for each in rows:
        names = ("mb", "events", "seconds", "seconds_per_mb", "times_ordinary", "growth", "peak_mb")
        figures = [f"{each[name]:,.2f}" if name in each else "-" for name in names]
        table.add_row(each["bomb"], *figures, "" if each["ok"] else "over the limit")
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
