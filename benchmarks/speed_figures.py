"""What the benchmark of speed measures, a function for each group of figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.corpus import Shape, kept
from benchmarks.measuring import FailedError, Run, User, reference

MB, GB = 10**6, 10**9
SMALL_FILE, LARGE_FILE = 10_000, 10 * MB
HEAVY = ("pandas", "numpy", "requests", "msgspec")
GOALS = {
    "preview_first": 0.8,
    "preview_again": 0.1,
    "preview_large": 0.35,
    "preview_memory": 300.0,
    "backfill_memory": 400.0,
    "backfill_full_memory": 400.0,
    "preview_flat": 1.3,
    "backfill_flat": 1.3,
    "one_preview_memory": 600.0,
    "one_backfill_memory": 600.0,
    "send_speed": 150.0,
    "sdk_ratio": 30.0,
    "help": 0.2,
    "help_imports": 0,
    "linear_sessions": 1.3,
    "linear_length": 1.3,
    "small_files": 3.0,
}
AT_LEAST = ("send_speed", "sdk_ratio")


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure; ``value`` is None where it could not be measured, and ``note`` says why or out of what."""

    name: str
    value: float | None
    unit: str
    what: str
    note: str = ""

    @property
    def goal(self) -> float | None:
        """What it should be at most, or at least; None: it is only told."""
        return GOALS.get(self.name)

    @property
    def missed(self) -> bool:
        """Whether it has a goal and misses it."""
        if self.goal is None:
            return False
        if self.value is None:
            return True
        return self.value < self.goal if self.name in AT_LEAST else self.value > self.goal


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured with, in bytes; ``files`` small ones are compared, and ``huge`` only if not 0."""

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
        user: whose home is empty.
        folder: where the corpora are.
        place: a folder for what is thrown away afterwards.
        session: a session file to send instead of a made-up one.
        repeat: how often what takes seconds is measured; the best counts. What takes longer: once.
    """

    scale: Scale
    user: User
    folder: Path
    place: Path
    session: Path | None = None
    repeat: int = 3

    def corpus(self, size: int, files: int | None = None, spread: float | None = None) -> Path:
        """A corpus of so many bytes, all in the page cache."""
        shape = Shape(size, files) if spread is None else Shape(size, files, spread)
        folder = self.folder / f"sessions-{size}-{shape.count}-{shape.spread:g}"
        self.wanted[folder] = kept(folder, shape).generations
        for path in folder.rglob("*.jsonl"):
            path.read_bytes()
        return folder

    @cached_property
    def wanted(self) -> dict[Path, int]:
        """The calls in each corpus."""
        return {}

    @cached_property
    def startup_s(self) -> float:
        """Seconds of a preview of one small session."""
        tiny = self.corpus(SMALL_FILE, 1, 0.0)
        return min(self.preview(tiny).seconds for _ in range(self.repeat + 2))

    def times(self, size: int) -> range:
        """How often to measure with so many bytes."""
        return range(self.repeat if size < GB else 1)

    def preview(self, folder: Path, *, again: bool = False, with_memory: bool = False) -> Run:
        """Preview a corpus, for the first time unless it is again."""
        if not again:
            self.user.forget()
        state = self.user.home / "ledger.sqlite3"
        run = self.user.run("preview", folder, "--json", "--state", state, with_memory=with_memory)
        shown = run.json["generations"]
        if shown != self.wanted[folder]:
            raise FailedError(f"preview shows {shown} calls of {self.wanted[folder]}")
        return run

    def backfill(self, paths: Path, address: str, context: str, *, with_memory: bool = False) -> Run:
        """Send everything to a sink, for the first time."""
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


def help_(bench: Bench) -> Iterator[Figure]:
    """How soon `--help` is there, and what it does not import."""
    best = min(bench.user.run("--help").seconds for _ in range(10))
    yield Figure("help", best, "s", "pi2posthog --help", "best of 10")
    imported = bench.user.imports("--help")
    heavy = [name for name in HEAVY if name in imported]
    yield Figure("help_imports", len(heavy), "modules", f"of {', '.join(HEAVY)} in --help", ", ".join(heavy))


def preview(bench: Bench) -> Iterator[Figure]:
    """A preview beside a bare `json.loads` loop over the same files."""
    size = bench.scale.preview
    folder = bench.corpus(size)
    bare, first, again = [], [], []
    for _ in bench.times(size):
        bare.append(reference(folder))
        first.append(bench.preview(folder).seconds)
        again.append(bench.preview(folder, again=True).seconds)
    yield _speed("reference", min(bare), size, "bare json.loads of all lines")
    yield from _beside("preview_first", min(first), min(bare), size, "preview, empty cache")
    yield from _beside("preview_again", min(again), min(bare), size, "preview again, nothing changed")


def large(bench: Bench) -> Iterator[Figure]:
    """The same with more, once."""
    size = bench.scale.large
    folder = bench.corpus(size)
    bare = reference(folder)
    yield _speed("reference_large", bare, size, "bare json.loads of all lines")
    yield from _beside("preview_large", bench.preview(folder).seconds, bare, size, "preview, empty cache")


def linear(bench: Bench) -> Iterator[Figure]:
    """What a byte costs in four times as many bytes: of more sessions, and of one longer session."""
    yield _growth(bench, "linear_sessions", bench.scale.linear, None, "4 times the sessions")
    yield _growth(bench, "linear_length", bench.scale.length, 1, "one session 4 times as long")


def files(bench: Bench) -> Iterator[Figure]:
    """What a byte costs in small files, beside the same in large ones."""
    many = bench.scale.files
    size = many * SMALL_FILE
    few = max(1, size // LARGE_FILE)
    small, big = bench.corpus(size, many, 0.0), bench.corpus(size, few, 0.0)
    small_s = min(bench.preview(small).seconds for _ in bench.times(size)) - bench.startup_s
    big_s = min(bench.preview(big).seconds for _ in bench.times(size)) - bench.startup_s
    note = f"{small_s:.2f} s and {big_s:.2f} s without the start-up of {bench.startup_s:.2f} s"
    what = f"{many:,} files of {SMALL_FILE // 1000} kB beside {few:,} of {size // few / MB:.0f} MB"
    ratio = small_s / _size(small) / (max(big_s, 0.01) / _size(big))
    yield Figure("small_files", ratio, "x per byte", what, note)


def _growth(bench: Bench, name: str, size: int, files: int | None, what: str) -> Figure:
    """Seconds a byte of four times the size over those of the size."""
    less, more = bench.corpus(size, files), bench.corpus(4 * size, files)
    less_s = min(bench.preview(less).seconds for _ in range(bench.repeat)) - bench.startup_s
    more_s = min(bench.preview(more).seconds for _ in range(bench.repeat)) - bench.startup_s
    note = f"{less_s:.2f} s and {more_s:.2f} s without the start-up of {bench.startup_s:.2f} s"
    ratio = more_s / _size(more) / (max(less_s, 0.01) / _size(less))
    return Figure(name, ratio, "x per byte", f"{what} ({size // MB} to {4 * size // MB} MB)", note)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.jsonl"))


def _speed(name: str, seconds: float, size: int, what: str) -> Figure:
    return Figure(name, size / MB / seconds, "MB/s", f"{what}, {size // MB:,} MB", f"{seconds:.2f} s")


def _beside(name: str, seconds: float, bare_s: float, size: int, what: str) -> Iterator[Figure]:
    yield Figure(
        name,
        seconds / bare_s,
        "x json.loads",
        f"{what}, {size // MB:,} MB",
        f"{seconds:.2f} s, {bare_s:.2f} s",
    )


Measurement = Callable[[Bench], Iterator[Figure]]
