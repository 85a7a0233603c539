"""An input of shared stretches has the same bytes as one that is joined message by message."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importer.build import joining
from importer.build.joining import STRETCH_BYTES, Stretches, make_link


def chain(*sizes, after=None):
    """Return the links of a chain whose messages have so many bytes."""
    links = []
    for number, size in enumerate(sizes):
        after = make_link(after, str(number % 10).encode() * size)
        links.append(after)
    return links


def one_by_one(start, end, room):
    """Return what `newest` returns, without stretches."""
    kept, left_out = [], 0
    while end is not start:
        room -= len(end.json) + 1
        if room < 0 and kept:
            left_out = end.depth - (start.depth if start else 0)
            break
        kept.append(end.json)
        end = end.previous
    return b",".join(kept[::-1]), left_out


SIZES = st.lists(
    st.one_of(st.integers(1, 300), st.integers(STRETCH_BYTES // 3, STRETCH_BYTES * 3)), max_size=20
)


@settings(max_examples=150, deadline=None)
@given(SIZES, st.data())
def test_any_part_of_any_chain_is_joined_to_the_same_bytes(sizes, data):
    stretches = Stretches(data.draw(st.sampled_from([1, 5 * STRETCH_BYTES, 2**30])))
    ends = [None, *chain(*sizes)]
    for _ in range(4):
        last = data.draw(st.integers(0, len(sizes)))
        span = ends[data.draw(st.integers(0, last))], ends[last]
        room = data.draw(st.one_of(st.just(math.inf), st.integers(-10, sum(sizes) + 50)))
        pieces, left_out = stretches.newest(*span, room)
        assert (b",".join(pieces), left_out) == one_by_one(*span, room)


@pytest.mark.parametrize("spare", [0, -1])
def test_the_room_counts_to_the_byte(spare):
    links = chain(*[1000] * 100)
    pieces, left_out = Stretches().newest(None, links[-1], 90 * 1001 + spare)
    assert left_out == 10 - spare
    assert len(b",".join(pieces)) == (90 + spare) * 1001 - 1


def test_branches_share_what_they_have_in_common():
    trunk = chain(*[1000] * 200)
    stretches = Stretches()
    branches = [chain(*[1000] * 5, after=trunk[-1])[-1] for _ in range(2)]
    first, second = (stretches.newest(None, end).pieces for end in branches)
    shared = [piece for piece in first if any(piece is other for other in second)]
    assert sum(map(len, shared)) > 150_000
    assert len(first) < 10, "a few pieces, not one for each message"


def test_a_longer_input_joins_only_what_is_new_in_it(monkeypatch):
    joined = []
    monkeypatch.setattr(
        joining, "_join_stretch", lambda link, real=joining._join_stretch: joined.append(link) or real(link)
    )
    links = chain(*[1000] * 500)
    stretches = Stretches()
    for end in links:
        stretches.newest(None, end)
    assert len(joined) == 500 * 1001 // STRETCH_BYTES


def test_no_more_stretches_are_kept_than_allowed():
    most = 4 * STRETCH_BYTES
    stretches = Stretches(most)
    links = chain(*[1000] * 400)
    for end in links:
        stretches.newest(None, end)
    known = stretches._known.values()
    assert sum(len(stretch.joined) for stretch in known) == stretches._bytes <= most
