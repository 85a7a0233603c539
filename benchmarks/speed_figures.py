"""The figures of the benchmark of speed and their goals; measures `--help` and preview."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.corpus import Shape, ensure_corpus
from benchmarks.measuring import FailedError, Run, User, time_json_loads

MB, GB = 10**6, 10**9
SMALL_FILE, LARGE_FILE = 10_000, 10 * MB
HEAVY = ("pandas", "numpy", "requests", "msgspec")
GOALS = {
    "help": 0.2,
    "help_imports": 0,
    "preview_first": 0.8,
    "preview_again": 0.15,
    "preview_pure": 1.6,
    "preview_large": 0.45,
    "preview_memory": 250.0,
    "backfill_memory": 350.0,
    "preview_memory_huge": 900.0,
    "backfill_memory_huge": 900.0,
    "send_speed": 150.0,
}
"""Goals for ``--scale full`` and ``10GB``; a figure without a goal is information."""

AT_LEAST = ("send_speed",)
"""Figures whose goal is a minimum; that of all others is a maximum."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured figure; without a value it could not be measured, and ``note`` says why."""

    name: str
    value: float | None
    unit: str
    what: str
    note: str = ""

    @property
    def goal(self) -> float | None:
        """The goal of this figure; None if it has none."""
        return GOALS.get(self.name)

    @property
    def is_missed(self) -> bool:
        """Whether this figure has a goal and misses it."""
        if self.goal is None:
            return False
        if self.value is None:
            return True
        return self.value < self.goal if self.name in AT_LEAST else self.value > self.goal


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes of the corpora in bytes.

    Attributes:
        preview, large: for the speed of preview, and for its memory and that of backfill.
        full_context: for a backfill with the full input context.
        one: a single long session.
        linear, length: the smaller of two corpora, or sessions, whose costs a byte are compared.
        files: number of small files.
        huge: for memory; 0 leaves it out.
    """

    preview: int
    large: int
    full_context: int
    one: int
    linear: int
    length: int
    files: int
    huge: int = 0


_FULL = (265 * MB, GB, 50 * MB, 200 * MB, 66 * MB, 40 * MB, 100_000)
SCALES = {
    "small": Scale(12 * MB, 24 * MB, 4 * MB, 10 * MB, 5 * MB, 3 * MB, 2000),
    "full": Scale(*_FULL),
    "10GB": Scale(*_FULL, huge=10 * GB),
}


@dataclass
class Bench:
    """What all measurements share.

    Attributes:
        scale: sizes of the corpora.
        user: runs the commands, with an empty home.
        folder: where the corpora are.
        place: a folder for temporary files.
        session: a session file to send instead of a made-up one.
        repeat: how often to measure what takes seconds; the best run counts. A gigabyte is measured once.
    """

    scale: Scale
    user: User
    folder: Path
    place: Path
    session: Path | None = None
    repeat: int = 3

    def corpus(self, size: int, files: int | None = None, spread: float | None = None) -> Path:
        """Make a corpus of ``size`` bytes and read it into the page cache."""
        shape = Shape(size, files) if spread is None else Shape(size, files, spread)
        folder = self.folder / f"sessions-{size}-{shape.count}-{shape.spread:g}"
        self.calls[folder] = ensure_corpus(folder, shape).generations
        for path in folder.rglob("*.jsonl"):
            path.read_bytes()
        return folder

    @cached_property
    def calls(self) -> dict[Path, int]:
        """Number of model calls in each corpus."""
        return {}

    @cached_property
    def startup_s(self) -> float:
        """Seconds of a preview of one small session, which are those of the start-up."""
        tiny = self.corpus(SMALL_FILE, 1, 0.0)
        return min(self.preview(tiny).seconds for _ in range(self.repeat + 2))

    def times(self, size: int) -> range:
        """How often to measure a corpus of ``size`` bytes."""
        return range(self.repeat if size < GB else 1)

    def preview(
        self, folder: Path, *, again: bool = False, with_memory: bool = False, **environment: str
    ) -> Run:
        """Preview a corpus, for the first time unless ``again``.

        Raises:
            FailedError: preview counts another number of calls than the corpus holds.
        """
        if not again:
            self.user.forget()
        state = self.user.home / "ledger.sqlite3"
        options = ("--json", "--state", state)
        run = self.user.run("preview", folder, *options, with_memory=with_memory, **environment)
        shown = run.json["generations"]
        if shown != self.calls[folder]:
            raise FailedError(f"preview shows {shown} calls of {self.calls[folder]}")
        return run

    def backfill(self, paths: Path, address: str, context: str, *, with_memory: bool = False) -> Run:
        """Send everything to a sink for the first time.

        Raises:
            FailedError: an event was not delivered.
        """
        self.user.forget()
        options = (
            "--json",
            "--yes",
            "--state",
            self.user.home / "ledger.sqlite3",
            "--input-context",
            context,
        )
        keys = {"POSTHOG_API_KEY": "phc_benchmark", "POSTHOG_HOST": address}
        run = self.user.run("backfill", paths, *options, with_memory=with_memory, **keys)
        figures = run.json
        if figures["left"] or figures["failed"] or not figures["delivered"]:
            raise FailedError(f"{figures['left']} events left, {figures['failed']} refused")
        return run


def measure_help(bench: Bench) -> Iterator[Figure]:
    """Measure the seconds of `--help`, and count the large modules that it imports."""
    best = min(bench.user.run("--help").seconds for _ in range(10))
    yield Figure("help", best, "s", "pi2posthog --help", "best of 10")
    imported = bench.user.find_imports("--help")
    heavy = [name for name in HEAVY if name in imported]
    yield Figure(
        "help_imports", len(heavy), "modules", f"--help imports of {', '.join(HEAVY)}", ", ".join(heavy)
    )


def measure_preview(bench: Bench) -> Iterator[Figure]:
    """Measure preview beside a bare `json.loads` loop over the same files."""
    size = bench.scale.preview
    folder = bench.corpus(size)
    bare, first, again, pure = [], [], [], []
    for _ in bench.times(size):
        bare.append(time_json_loads(folder))
        first.append(bench.preview(folder).seconds)
        again.append(bench.preview(folder, again=True).seconds)
        pure.append(bench.preview(folder, PI2POSTHOG_PURE="1").seconds)
    yield _make_speed("reference", min(bare), size, "bare json.loads of all lines")
    yield from _compare("preview_first", min(first), min(bare), size, "preview, empty cache")
    yield from _compare("preview_again", min(again), min(bare), size, "preview again, nothing changed")
    yield from _compare("preview_pure", min(pure), min(bare), size, "preview without compiled code")


def measure_large_preview(bench: Bench) -> Iterator[Figure]:
    """Measure the preview of a gigabyte, once."""
    size = bench.scale.large
    folder = bench.corpus(size)
    bare = time_json_loads(folder)
    yield _make_speed("reference_large", bare, size, "bare json.loads of all lines")
    yield from _compare("preview_large", bench.preview(folder).seconds, bare, size, "preview, empty cache")


def measure_growth(bench: Bench) -> Iterator[Figure]:
    """Compare the seconds a byte of four times as many sessions, and of a session four times as long."""
    yield _compare_growth(bench, "linear_sessions", bench.scale.linear, None, "4 times the sessions")
    yield _compare_growth(bench, "linear_length", bench.scale.length, 1, "one session 4 times as long")


def measure_small_files(bench: Bench) -> Iterator[Figure]:
    """Compare the seconds a byte of small files with those of large files."""
    many = bench.scale.files
    size = many * SMALL_FILE
    few = max(1, size // LARGE_FILE)
    small, big = bench.corpus(size, many, 0.0), bench.corpus(size, few, 0.0)
    small_s = min(bench.preview(small).seconds for _ in bench.times(size)) - bench.startup_s
    big_s = min(bench.preview(big).seconds for _ in bench.times(size)) - bench.startup_s
    note = f"{small_s:.2f} s and {big_s:.2f} s without the start-up of {bench.startup_s:.2f} s"
    what = f"{many:,} files of {SMALL_FILE // 1000} kB beside {few:,} of {size // few / MB:.0f} MB"
    ratio = small_s / _count_bytes(small) / (max(big_s, 0.01) / _count_bytes(big))
    yield Figure("small_files", ratio, "x per byte", what, note)


def _compare_growth(bench: Bench, name: str, size: int, files: int | None, what: str) -> Figure:
    """Divide the seconds a byte of four times the size by those of the size."""
    less, more = bench.corpus(size, files), bench.corpus(4 * size, files)
    less_s = min(bench.preview(less).seconds for _ in range(bench.repeat)) - bench.startup_s
    more_s = min(bench.preview(more).seconds for _ in range(bench.repeat)) - bench.startup_s
    note = f"{less_s:.2f} s and {more_s:.2f} s without the start-up of {bench.startup_s:.2f} s"
    ratio = more_s / _count_bytes(more) / (max(less_s, 0.01) / _count_bytes(less))
    return Figure(name, ratio, "x per byte", f"{what} ({size // MB} to {4 * size // MB} MB)", note)


def _count_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.jsonl"))


def _make_speed(name: str, seconds: float, size: int, what: str) -> Figure:
    return Figure(name, size / MB / seconds, "MB/s", f"{what}, {size // MB:,} MB", f"{seconds:.2f} s")


def _compare(name: str, seconds: float, bare_s: float, size: int, what: str) -> Iterator[Figure]:
    yield Figure(
        name,
        seconds / bare_s,
        "x json.loads",
        f"{what}, {size // MB:,} MB",
        f"{seconds:.2f} s, {bare_s:.2f} s",
    )


Measurement = Callable[[Bench], Iterator[Figure]]
