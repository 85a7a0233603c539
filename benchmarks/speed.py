"""How fast preview and backfill are, and how much memory they take, beside what was promised.

    python -m benchmarks.speed [--json] [--only NAME ...] [--scale small|full|10GB] [--folder DIR]
                               [--session FILE] [--repeat 3]

The command is run from outside, in processes of its own, with a home that is empty; caches are cold unless it
is said that they are not, and the files are in the page cache. Preview is measured beside a process that does
nothing but `json.loads` with every line of the same files; that makes the machine matter less. What takes
seconds is measured three times and the best counts; a gigabyte is measured once. Memory is the sum over all
processes of the command (PSS), looked at every 20 ms, in runs that are not timed.

The corpora (see `benchmarks.corpus`) need 4 GB of disk, with `--scale 10GB` 14 GB; with `--folder` they are
kept and used again. The goals are for `full`: with `small`, which is for trying this out, start-up is most of
the time. The SDK is in the extra `bench`; where it is not installed, what needs it is left out. The exit code
is 1 if a goal was missed. Needs Linux (it reads /proc), no network.
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
    "help": speed_figures.help_,
    "preview": speed_figures.preview,
    "large": speed_figures.large,
    "memory": speed_sending.memory,
    "one": speed_sending.one,
    "send": speed_sending.send,
    "linear": speed_figures.linear,
    "files": speed_figures.files,
}


def measured(bench: Bench, names: list[str]) -> Iterator[Figure]:
    """The figures of some groups; one that fails is a figure without a value, which counts as missed."""
    for name in names:
        print(f"{name} …", file=sys.stderr)  # noqa: T201 - it takes minutes
        try:
            yield from GROUPS[name](bench)
        except FailedError as error:
            yield Figure(name, None, "", "failed", str(error))


def missed(figure: Figure) -> bool:
    """Whether a figure misses its goal, or its group failed."""
    return figure.missed or figure.what == "failed"


def main() -> int:
    """Measure, show, and return 1 if a goal was missed."""
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
        bench.user.run("--help")  # so that its byte code is there
        figures = list(measured(bench, asked.only or list(GROUPS)))
    if asked.json:
        rows = [
            {"name": f.name, "value": f.value, "unit": f.unit, "goal": f.goal, "missed": missed(f)}
            | {"at_least": f.name in AT_LEAST, "what": f.what, "note": f.note}
            for f in figures
        ]
        sys.stdout.write(json.dumps({"scale": asked.scale, "figures": rows}, indent=2) + "\n")
    else:
        show(figures, asked.scale)
    return 1 if any(map(missed, figures)) else 0


def show(figures: list[Figure], scale: str) -> None:
    """The figures as a table."""
    title = None if scale != "small" else "A small scale, for trying out: the goals are for --scale full"
    table = Table(title=title)
    for name in ("figure", "measured", "goal", ""):
        table.add_column(name, no_wrap=True)
    table.add_column("what")
    for figure in figures:
        value = "-" if figure.value is None else f"{figure.value:,.2f} {figure.unit}"
        sign = "≥" if figure.name in AT_LEAST else "≤"
        goal = "" if figure.goal is None else f"{sign} {figure.goal:g}"
        verdict = "missed" if missed(figure) else "" if figure.goal is None else "kept"
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
