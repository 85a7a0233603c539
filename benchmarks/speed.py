"""Measure the speed and the memory of preview and backfill against their goals.

    python -m benchmarks.speed [--json] [--only NAME ...] [--scale small|full|10GB] [--folder DIR]
                               [--session FILE] [--repeat 3]

The command runs in processes of its own with an empty home. The files are in the page cache; our own cache
is empty unless a figure says "again". Preview is compared with a process that does nothing but `json.loads`
with every line of the same files, so that the machine matters less. What takes seconds is measured three
times, and the best run counts; a gigabyte is measured once. Memory is the sum over all processes of the
command (PSS), sampled every 20 ms in runs that are not timed.

The corpora (see `benchmarks.corpus`) need 4 GB of disk, 14 GB with `--scale 10GB`; `--folder` keeps them. The
goals are for `full` and a compiled build: with `small`, which is for trying this out, most of the time is
start-up. The SDK is in the extra `bench`; without it, its figures are left out. The exit code is 1 if a goal
is missed. Needs Linux (it reads /proc) and no network.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import speed_figures, speed_sending
from benchmarks.measuring import FailedError, User
from benchmarks.speed_figures import AT_LEAST, SCALES, Bench, Figure, Measurement

GROUPS: dict[str, Measurement] = {
    "help": speed_figures.measure_help,
    "preview": speed_figures.measure_preview,
    "large": speed_figures.measure_large_preview,
    "memory": speed_sending.measure_memory,
    "one": speed_sending.measure_long_session,
    "send": speed_sending.measure_sending,
    "linear": speed_figures.measure_growth,
    "files": speed_figures.measure_small_files,
}


def measure_groups(bench: Bench, names: list[str]) -> Iterator[Figure]:
    """Measure groups of figures; one that fails gives a figure without a value, which counts as missed."""
    for name in names:
        print(f"{name} …", file=sys.stderr)  # noqa: T201 - it takes minutes
        try:
            yield from GROUPS[name](bench)
        except FailedError as error:
            yield Figure(name, None, "", "failed", str(error))


def is_missed(figure: Figure) -> bool:
    """Tell whether a figure misses its goal, or its group failed."""
    return figure.is_missed or figure.what == "failed"


def main() -> int:
    """Measure and show; return 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--only", nargs="+", choices=GROUPS, metavar="NAME", help=", ".join(GROUPS))
    parser.add_argument("--scale", choices=SCALES, default="full")
    parser.add_argument("--folder", type=Path, help="where the corpora are kept")
    parser.add_argument("--session", type=Path, help="a session file to send instead of a made-up one")
    parser.add_argument("--repeat", type=int, default=3)
    asked = parser.parse_args()
    session = asked.session.resolve() if asked.session else None
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        folder = (asked.folder or place / "corpora").resolve()
        folder.mkdir(parents=True, exist_ok=True)
        bench = Bench(SCALES[asked.scale], User(place), folder, place, session, asked.repeat)
        bench.user.run("--help")  # compiles the byte code
        figures = list(measure_groups(bench, asked.only or list(GROUPS)))
    if asked.json:
        rows = [
            {"name": f.name, "value": f.value, "unit": f.unit, "goal": f.goal, "missed": is_missed(f)}
            | {"at_least": f.name in AT_LEAST, "what": f.what, "note": f.note}
            for f in figures
        ]
        sys.stdout.write(json.dumps({"scale": asked.scale, "figures": rows}, indent=2) + "\n")
    else:
        show_table(figures, asked.scale)
    return 1 if any(map(is_missed, figures)) else 0


def show_table(figures: list[Figure], scale: str) -> None:
    """Print the figures as a table."""
    title = None if scale != "small" else "A small scale, to try it: the goals are for --scale full"
    table = Table(title=title)
    for name in ("figure", "measured", "goal", ""):
        table.add_column(name, no_wrap=True)
    table.add_column("what")
    for figure in figures:
        value = "-" if figure.value is None else f"{figure.value:,.2f} {figure.unit}"
        sign = "≥" if figure.name in AT_LEAST else "≤"
        goal = "" if figure.goal is None else f"{sign} {figure.goal:g}"
        verdict = "missed" if is_missed(figure) else "" if figure.goal is None else "kept"
        table.add_row(
            figure.name,
            value,
            goal,
            verdict,
            f"{figure.what} ({figure.note})" if figure.note else figure.what,
        )
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
