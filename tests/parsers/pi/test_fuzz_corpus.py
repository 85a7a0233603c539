"""Damaged sessions, kept and made up on the spot: none breaks a rule that holds for any file."""

from __future__ import annotations

import pytest

from tests import cases, fuzz

KEPT = sorted(fuzz.CORPUS.glob("*.jsonl"))
CASES = 100_000


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
@pytest.mark.parametrize("number", range(4))
def test_what_was_once_of_interest_breaks_no_rule(path, number):
    lines = path.read_bytes().split(b"\n")[:-1]
    found = fuzz.check(lines, number * fuzz.EVENTS_EVERY)
    assert found > 0
    for left_out in range(len(lines)):
        fuzz.check(lines[:left_out] + lines[left_out + 1 :], number)


def test_a_seed_gives_the_same_cases_every_time():
    assert fuzz.run(7, 0, 50) == fuzz.run(7, 0, 50)


def test_the_rules_find_a_call_that_is_counted_twice(monkeypatch):
    monkeypatch.setattr(fuzz, "_tokens_of", lambda entry: 1)
    _, failed = fuzz.run(1, 0, 20)
    assert "tokens lost or made up" in failed[0][1]


def test_a_hundred_thousand_damaged_sessions_break_no_rule():
    found, failed = cases.in_processes(fuzz.run, CASES, seed=1, jobs=2)
    assert failed == []
    assert found > CASES
