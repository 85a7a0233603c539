"""Measure the ledger as it grows: recording, lookups, size on disk, memory. It has no goals.

    python -m benchmarks.ledger [--ids 10000000] [--batch 500] [--json]

The ids are random, which is what UUIDv5 are to a B-tree. They are recorded in batches, each synced to the
disk, as a backfill does. The temporary folder needs about 45 bytes an id.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from importer.ledger.ledger import Ledger

STEPS = 10
LOOKUPS = 20
ASKED = 1000


def make_ids(count: int, chance: random.Random) -> list[str]:
    """Make ids that were never seen before."""
    return [str(uuid.UUID(int=chance.getrandbits(128))) for _ in range(count)]


def record_ids(
    ledger: Ledger, destination: int, count: int, batch: int, chance: random.Random
) -> dict[str, Any]:
    """Record ``count`` ids; return how many a second, and how long a batch and a lookup take."""
    spent_s = []
    known: list[str] = []
    for _ in range(count // batch):
        ids = make_ids(batch, chance)
        began_s = time.perf_counter()
        ledger.record(destination, ids, 1_795_446_000_000)
        spent_s.append(time.perf_counter() - began_s)
        known = (known + ids)[-ASKED // 2 :]
    asked_s = []
    for _ in range(LOOKUPS):
        # Half of them are known, as in a backfill that was interrupted.
        asked = [*known, *make_ids(ASKED - len(known), chance)]
        began_s = time.perf_counter()
        found = ledger.delivered(destination, asked)
        asked_s.append(time.perf_counter() - began_s)
        if found != set(known):
            raise SystemExit("the ledger forgot an id")
    spent_s.sort()
    return {
        "ids_per_s": round(count / sum(spent_s)),
        "batch_ms": round(1000 * spent_s[len(spent_s) // 2], 1),
        "batch_p99_ms": round(1000 * spent_s[int(len(spent_s) * 0.99)], 1),
        "lookup_1000_ms": round(1000 * sorted(asked_s)[LOOKUPS // 2], 1),
    }


def measure(ids: int, batch: int, path: Path) -> dict[str, Any]:
    """Measure after each tenth of the ids and in the end."""
    chance = random.Random(1)  # noqa: S311 - a benchmark wants the same ids every time
    steps = []
    with Ledger.open(path) as ledger:
        destination = ledger.destination_id("https://us.i.posthog.com", "phc_benchmark")
        for _ in range(STEPS):
            figures = record_ids(ledger, destination, ids // STEPS, batch, chance)
            bytes_on_disk = sum(file.stat().st_size for file in path.parent.iterdir())
            figures |= {"ids": ledger.count(), "mb": round(bytes_on_disk / 1e6, 1)}
            steps.append(figures)
            print(f"{figures['ids']:,} ids", file=sys.stderr)  # noqa: T201 - it takes minutes
    began_s = time.perf_counter()
    with Ledger.open(path) as ledger:
        opened_s = time.perf_counter()
        total = ledger.describe()[0].delivered
        counted_s = time.perf_counter()
        ledger.check()
        checked_s = time.perf_counter()
    return {
        "ids": total,
        "bytes_per_id": round(path.stat().st_size / max(1, total), 1),
        "open_ms": round(1000 * (opened_s - began_s), 1),
        "count_ms": round(1000 * (counted_s - opened_s), 1),
        "check_ms": round(1000 * (checked_s - counted_s), 1),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "steps": steps,
    }


def show_table(figures: dict[str, Any]) -> None:
    """Print the figures as a table."""
    columns = {
        "ids": "ids",
        "mb": "MB on disk",
        "ids_per_s": "recorded/s",
        "batch_ms": "batch ms",
        "batch_p99_ms": "p99 ms",
        "lookup_1000_ms": "1,000 asked ms",
    }
    table = Table(*columns.values(), box=None)
    for step in figures["steps"]:
        table.add_row(*(f"{step[name]:,}" for name in columns))
    console = Console()
    console.print(table)
    console.print(
        "{bytes_per_id} bytes an id; open {open_ms} ms, count all {count_ms} ms, full check {check_ms} ms; "
        "peak memory {peak_rss_mb} MB".format(**figures)
    )


def main() -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--ids", type=int, default=10_000_000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(options.ids, options.batch, Path(folder) / "ledger.sqlite3")
    if options.json:
        print(json.dumps(figures, indent=2))  # noqa: T201
    else:
        show_table(figures)


if __name__ == "__main__":
    main()
