"""Measure sending beside PostHog's SDK, and the peak memory of preview and backfill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measuring import ROOT, FailedError
from benchmarks.sdk import MISSING
from benchmarks.sink import read_counts, run_sink
from benchmarks.speed_figures import MB, Bench, Figure

SESSION = 2_400_000  # bytes of the session that is sent; about 190 MB of events in the full context
_SIZES = "the file is {:.1f} MB, its events are {:.1f} MB; {:.2f} s"


def measure_sending(bench: Bench) -> Iterator[Figure]:
    """Send one long session with the full input context to a sink, and the same events by the SDK."""
    file = bench.session or bench.corpus(SESSION, 1)
    seconds, sent_bytes, events = _send_best(bench, file, has_ai=True)
    size = sum(path.stat().st_size for path in ([file] if file.is_file() else file.rglob("*.jsonl")))
    note = _SIZES.format(size / MB, sent_bytes / MB, seconds)
    yield Figure(
        "send_speed", sent_bytes / MB / seconds, "MB/s", "backfill of one session, JSON of events", note
    )
    yield Figure("send_events", events / seconds, "events/s", "the same", f"{events:,} events")
    batch_s, batch_bytes, _ = _send_best(bench, file, has_ai=False)
    what = "the same, to a server without the AI endpoint"
    yield Figure("send_batch_speed", batch_bytes / MB / batch_s, "MB/s", what, f"{batch_s:.2f} s")
    yield from _compare_sdk(bench, file, events / seconds)


def measure_memory(bench: Bench) -> Iterator[Figure]:
    """Measure the peak memory of preview and backfill of many sessions."""
    scale = bench.scale
    previewed, sent = _measure_peaks(bench, scale.large, "new")
    name = f"{scale.large // MB:,} MB"
    yield Figure("preview_memory", previewed, "MB", f"preview of {name}, all processes")
    yield Figure("backfill_memory", sent, "MB", f"backfill of {name}, input context new")
    folder = bench.corpus(scale.full_context)
    with run_sink() as address:
        peak_mb = bench.backfill(folder, address, "full", with_memory=True).peak_mb
    what = f"backfill of {scale.full_context // MB:,} MB, input context full"
    yield Figure("backfill_full_memory", peak_mb, "MB", what)
    if scale.huge:
        name = f"{scale.huge // MB:,} MB"
        more_previewed, more_sent = _measure_peaks(bench, scale.huge, "new")
        yield Figure("preview_memory_huge", more_previewed, "MB", f"preview of {name}")
        yield Figure("preview_flat", more_previewed / previewed, "x", f"preview of {name} beside the smaller")
        yield Figure("backfill_memory_huge", more_sent, "MB", f"backfill of {name}, input context new")
        yield Figure("backfill_flat", more_sent / sent, "x", f"backfill of {name} beside the smaller")


def measure_long_session(bench: Bench) -> Iterator[Figure]:
    """Measure the peak memory of preview and backfill of one very long session."""
    size = bench.scale.one
    previewed, sent = _measure_peaks(bench, size, "new", files=1)
    yield Figure("one_preview_memory", previewed, "MB", f"preview of one session of {size // MB:,} MB")
    what = f"backfill of one session of {size // MB:,} MB, input context new"
    yield Figure("one_backfill_memory", sent, "MB", what)


def _measure_peaks(bench: Bench, size: int, context: str, files: int | None = None) -> tuple[float, float]:
    """Measure the peak memory of preview and of backfill in MB."""
    folder = bench.corpus(size, files)
    previewed = bench.preview(folder, with_memory=True).peak_mb
    with run_sink() as address:
        return previewed, bench.backfill(folder, address, context, with_memory=True).peak_mb


def _send_best(bench: Bench, file: Path, *, has_ai: bool) -> tuple[float, int, int]:
    """Backfill some times; return the seconds of the fastest, and the bytes and the number of its events."""
    with run_sink(has_ai=has_ai) as address:
        runs = [bench.backfill(file, address, "full") for _ in range(bench.repeat)]
    best = min(runs, key=lambda run: run.seconds)
    return best.seconds, best.json["sent_bytes"], best.json["delivered"]


def _compare_sdk(bench: Bench, file: Path, ours: float) -> Iterator[Figure]:
    """Send the events of a session by the SDK; ``ours`` is how many pi2posthog sends a second."""
    path = bench.place / "events.jsonl"
    bench.user.forget()
    bench.user.run("backfill", file, "--json", "--output", path, "--force")
    plain = _send_by_sdk(path, bench.repeat)
    if plain is None:
        yield Figure("sdk_events", None, "events/s", "PostHog's SDK: not installed", "extra: bench")
        return
    yield Figure(
        "sdk_events", plain, "events/s", "PostHog's SDK with the same events", "without reading them"
    )
    packed = _send_by_sdk(path, 1, "--gzip")
    yield Figure("sdk_gzip_events", packed, "events/s", "the same, compressed as pi2posthog does")
    yield Figure("sdk_ratio", ours / plain, "x the SDK", "pi2posthog's events/s, reading included")
    path.unlink()


def _send_by_sdk(path: Path, repeat: int, *options: str) -> float | None:
    """Send events by the SDK; return the best number a second, or None if it is not installed."""
    best = 0.0
    for _ in range(repeat):
        with run_sink() as address:
            command = [sys.executable, "-m", "benchmarks.sdk", str(path), address, *options]
            environment = os.environ | {"NO_PROXY": "*"}
            done = subprocess.run(  # noqa: S603
                command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False
            )
            if done.returncode == MISSING:
                return None
            if done.returncode:
                raise FailedError(f"the SDK failed: {done.stderr[-400:]}")
            figures, came = json.loads(done.stdout), read_counts(address)["events"]
        if not options and came < figures["events"]:
            raise FailedError(f"the SDK sent {came} of {figures['events']} events")
        best = max(best, figures["events"] / figures["seconds"])
    return best
