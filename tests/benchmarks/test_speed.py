"""The parts of the benchmark of speed: the sink, the memory of processes, the goals."""

from __future__ import annotations

import os
import sys

import pytest

from benchmarks.corpus import Shape, generate
from benchmarks.measuring import FailedError, User, run_command
from benchmarks.sink import read_counts, run_sink
from benchmarks.speed import is_missed, measure_groups
from benchmarks.speed_figures import SCALES, Bench, Figure

MEGABYTES = 60
HOLD = "import sys, time; held = b'x' * int(sys.argv[1]); time.sleep(0.4)"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLD!r}, sys.argv[1]])"


def test_the_memory_of_a_command_includes_its_child_processes():
    size = MEGABYTES * 10**6
    run = run_command([sys.executable, "-c", PARENT, str(size)], dict(os.environ), with_memory=True)
    assert MEGABYTES < run.peak_mb < MEGABYTES + 60
    assert run.seconds > 0.4


def test_a_command_that_fails_raises():
    with pytest.raises(FailedError, match="ended with 3"):
        run_command([sys.executable, "-c", "raise SystemExit(3)"], dict(os.environ))


@pytest.mark.parametrize("has_ai", [True, False])
def test_the_sink_takes_everything_and_counts_requests_and_bytes(tmp_path, has_ai):
    written = generate(tmp_path / "sessions", Shape(bytes=150_000, files=2))
    user = User(tmp_path)
    with run_sink(has_ai=has_ai) as address:
        keys = {"POSTHOG_API_KEY": "phc_test", "POSTHOG_HOST": address}
        sent = user.run("backfill", tmp_path / "sessions", "--json", **keys).json
        came = read_counts(address)
    assert sent["generations"] == written.generations
    assert (sent["failed"], sent["left"]) == (0, 0)
    assert came["requests"] == sent["requests"]
    assert came["bytes"] >= sent["sent_gzip_bytes"] > 0


@pytest.mark.parametrize(
    ("name", "value", "misses"),
    [
        ("preview_first", 0.8, False),
        ("preview_first", 0.81, True),
        ("send_speed", 150.0, False),
        ("send_speed", 149.0, True),
        ("send_speed", None, True),
        ("reference", 1.0, False),
    ],
)
def test_a_figure_misses_its_goal_on_the_wrong_side_only(name, value, misses):
    assert is_missed(Figure(name, value, "", "")) is misses


def test_a_group_that_fails_counts_as_missed(tmp_path):
    class Broken(User):
        def run(self, *_, **__):
            raise FailedError("broken")

    bench = Bench(SCALES["small"], Broken(tmp_path), tmp_path, tmp_path)
    (figure,) = measure_groups(bench, ["help"])
    assert is_missed(figure)
    assert figure.note == "broken"
