"""Checks cases by the ten thousand, in several processes; a seed and a number always give the same case."""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

Failed = list[tuple[int, str, bytes]]
Run = Callable[[int, int, int], tuple[int, Failed]]
"""Runs cases: takes a seed, the number of the first case and their number; returns as :func:`checked`."""

_MOST_FAILED = 5


def checked(
    seed: int,
    numbers: range,
    case: Callable[[random.Random], list[bytes]],
    check: Callable[[list[bytes], int], int],
) -> tuple[int, Failed]:
    """Check some cases; return how much they found, and the number, fault and bytes of those that failed."""
    found, failed = 0, []
    for number in numbers:
        lines = case(random.Random(f"{seed}:{number}"))
        try:
            found += check(lines, number)
        except Exception as error:  # whatever it is: that is what is looked for
            failed.append((number, f"{type(error).__name__}: {error}", b"\n".join(lines)))
            if len(failed) >= _MOST_FAILED:
                break
    return found, failed


def in_processes(run: Run, cases: int, seed: int, jobs: int) -> tuple[int, Failed]:
    """Run that many cases in several processes."""
    share = -(-cases // jobs)
    parts = [(seed, start, min(share, cases - start)) for start in range(0, cases, share)]
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        done = list(pool.map(run, *zip(*parts, strict=True)))
    return sum(found for found, _ in done), [each for _, failed in done for each in failed]


def main(run: Run, about: str | None, what: str, arguments: Sequence[str] | None = None) -> int:
    """Run the cases that the command line asks for; return 1 if one failed.

    Args:
        run: checks some of them.
        about: what is said about that, in its first line.
        what: what is found in them.
        arguments: the command line, by default that of the process.
    """
    parser = argparse.ArgumentParser(description=(about or "").partition("\n")[0])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args(arguments)
    started_s = time.monotonic()
    found, failed = in_processes(run, options.cases, options.seed, options.jobs)
    for number, fault, data in failed:
        print(f"case {number}: {fault}\n{data!r}\n")
    took_s = time.monotonic() - started_s
    figures = f"{options.cases:,} cases, {found:,} {what}, {len(failed)} failed, {took_s:.1f} s"
    print(f"{figures} (seed {options.seed})")
    return 1 if failed else 0
