"""What the benchmark of speed measures with: a server that counts, processes' memory, goals that are kept."""

from __future__ import annotations

import os
import sys

import pytest

from benchmarks.corpus import Shape, generate
from benchmarks.measuring import FailedError, User, measure
from benchmarks.sink import counts, sink
from benchmarks.speed import measured, missed
from benchmarks.speed_figures import SCALES, Bench, Figure

MEGABYTES = 60
HOLD = "import sys, time; held = b'x' * int(sys.argv[1]); time.sleep(0.4)"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLD!r}, sys.argv[1]])"


def test_the_memory_of_a_command_is_that_of_all_its_processes():
    size = MEGABYTES * 10**6
    run = measure([sys.executable, "-c", PARENT, str(size)], dict(os.environ), with_memory=True)
    assert MEGABYTES < run.peak_mb < MEGABYTES + 60
    assert run.seconds > 0.4


def test_a_command_that_fails_is_not_measured():
    with pytest.raises(FailedError, match="ended with 3"):
        measure([sys.executable, "-c", "raise SystemExit(3)"], dict(os.environ))


@pytest.mark.parametrize("has_ai", [True, False])
def test_the_sink_takes_all_that_a_backfill_sends_and_counts_its_requests(tmp_path, has_ai):
    written = generate(tmp_path / "sessions", Shape(bytes=150_000, files=2))
    user = User(tmp_path)
    with sink(has_ai=has_ai) as address:
        keys = {"POSTHOG_API_KEY": "phc_test", "POSTHOG_HOST": address}
        sent = user.run("backfill", tmp_path / "sessions", "--json", **keys).json
        came = counts(address)
    assert sent["generations"] == written.generations
    assert (sent["failed"], sent["left"]) == (0, 0)
    assert came["requests"] == sent["requests"]
    assert came["bytes"] >= sent["sent_gzip_bytes"] > 0


@pytest.mark.parametrize(
    ("name", "value", "is_missed"),
    [
        ("preview_first", 0.8, False),
        ("preview_first", 0.81, True),
        ("send_speed", 150.0, False),
        ("send_speed", 149.0, True),
        ("send_speed", None, True),
        ("reference", 1.0, False),
    ],
)
def test_a_figure_misses_a_goal_that_it_is_on_the_wrong_side_of(name, value, is_missed):
    assert missed(Figure(name, value, "", "")) is is_missed


def test_a_group_that_fails_is_shown_as_missed(tmp_path):
    class Broken(User):
        def run(self, *_, **__):
            raise FailedError("broken")

    bench = Bench(SCALES["small"], Broken(tmp_path), tmp_path, tmp_path)
    (figure,) = measured(bench, ["help"])
    assert missed(figure)
    assert figure.note == "broken"
