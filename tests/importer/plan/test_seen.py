from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importer.plan.seen import SeenIds

HALVES = st.one_of(
    st.sampled_from([b"\0" * 8, b"\0" * 7 + b"\1", b"\x7f" + b"\xff" * 7, b"\x80" + b"\0" * 7, b"\xff" * 8]),
    st.binary(min_size=8, max_size=8),
)
IDS = st.builds(lambda high, low: high + low, HALVES, HALVES)


def assert_as_a_set(batches: list[list[bytes]], full: int = 200_000) -> None:
    seen, known = SeenIds(full), set()
    for batch in batches:
        is_new = []
        for each in batch:
            is_new.append(each not in known)
            known.add(each)
        assert seen.add(b"".join(batch)).tolist() == is_new
    assert not seen.add(b"".join(known)).any()


@settings(max_examples=400, deadline=None)
@given(st.lists(st.lists(IDS, max_size=30), max_size=12))
def test_it_tells_what_a_set_would(batches):
    assert_as_a_set(batches)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(IDS, max_size=30), max_size=12), st.integers(1, 40))
def test_it_tells_the_same_where_older_ids_are_laid_down(batches, full):
    assert_as_a_set(batches, full)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), max_size=20), max_size=10), st.integers(1, 20))
def test_laid_down_ids_that_begin_alike_are_told_apart(batches, full):
    assert_as_a_set([[b"same" + bytes(11) + bytes([each]) for each in batch] for batch in batches], full)
    assert_as_a_set([[b"same" + bytes([each]) + bytes(11) for each in batch] for batch in batches], full)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.integers(0, 40), max_size=40), max_size=10))
def test_ids_with_the_same_first_half_are_told_apart(batches):
    assert_as_a_set([[b"the same" + each.to_bytes(8, "big") for each in batch] for batch in batches])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.integers(0, 40), max_size=40), max_size=10))
def test_ids_with_the_same_second_half_are_told_apart(batches):
    assert_as_a_set([[each.to_bytes(8, "big") + b"the same" for each in batch] for batch in batches])


@pytest.mark.parametrize("asked", [1, 3, 400])
def test_few_or_many_of_laid_down_ids_are_found(asked):
    chance = random.Random(2)
    known = [chance.randbytes(16) for _ in range(5000)]
    seen = SeenIds(full=5000)
    assert seen.add(b"".join(known)).all()
    assert not seen._runs
    mixed = known[:asked] + [chance.randbytes(16) for _ in range(asked)]
    mixed += [known[7][:4] + bytes(12), known[7][:8] + bytes(8)]  # nearly there
    chance.shuffle(mixed)
    assert seen.add(b"".join(mixed)).tolist() == [each not in known for each in mixed]


def test_the_first_of_the_same_ids_is_the_new_one():
    one, other = b"\xff" * 16, b"\0" * 16
    seen = SeenIds()
    assert seen.add(one + other + one + other + one).tolist() == [True, True, False, False, False]
    assert seen.add(other + one).tolist() == [False, False]


def test_nothing_can_be_added():
    seen = SeenIds()
    assert seen.add(b"").tolist() == []
    assert seen.add(bytearray(16)).tolist() == [True]
    assert seen.add(b"").tolist() == []
    assert seen.add(bytes(16)).tolist() == [False]


def test_many_small_additions_are_merged_to_few_runs():
    chance = random.Random(1)
    numbers = [chance.randrange(4000) for _ in range(6000)]
    batches = [[n.to_bytes(16, "little") for n in numbers[at : at + 7]] for at in range(0, 6000, 7)]
    assert_as_a_set(batches)
    seen = SeenIds()
    for batch in batches:
        seen.add(b"".join(batch))
    assert len(seen._runs) < 15
    assert sum(len(high) for high, _ in seen._runs) == len(set(numbers))
