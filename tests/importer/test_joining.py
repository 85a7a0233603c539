"""Inputs are put together from stretches that calls share: the same bytes as message by message."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importer.joining import STRETCH_BYTES, Stretches
from parsers.chain import ContextMessage, Span, linked
from parsers.messages import COMPACTION_FRAME, Summary


class Plain:
    """An encoder whose messages are their own JSON; it counts how often one is asked for."""

    def __init__(self):
        self.asked = 0

    def message(self, message):
        self.asked += 1
        return message.source.text.encode()

    def size_up_to(self, link):
        size = 0
        while link is not None:
            size += len(link.message.source.text) + 1
            link = link.previous
        return size


def chain(*sizes, after=None):
    """The links of a chain whose messages have so many bytes."""
    links = []
    for number, size in enumerate(sizes):
        text = str(number % 10) * size
        after = linked(after, ContextMessage(Summary(text, COMPACTION_FRAME), number))
        links.append(after)
    return links


def one_by_one(span, room):
    """What `newest` gives, without stretches."""
    kept, left_out = [], 0
    for link in span.newest_first():
        text = link.message.source.text.encode()
        room -= len(text) + 1
        if room < 0 and kept:
            left_out = link.depth - (span.start.depth if span.start else 0)
            break
        kept.append(text)
    return b",".join(kept[::-1]), left_out


SIZES = st.lists(
    st.one_of(st.integers(1, 300), st.integers(STRETCH_BYTES // 3, STRETCH_BYTES * 3)), max_size=20
)


@settings(max_examples=150, deadline=None)
@given(SIZES, st.data())
def test_any_part_of_any_chain_is_joined_to_the_same_bytes(sizes, data):
    encoder, stretches = Plain(), Stretches(data.draw(st.sampled_from([1, 5 * STRETCH_BYTES, 2**30])))
    ends = [None, *chain(*sizes)]
    for _ in range(4):
        last = data.draw(st.integers(0, len(sizes)))
        span = Span(ends[data.draw(st.integers(0, last))], ends[last])
        room = data.draw(st.one_of(st.just(math.inf), st.integers(-10, sum(sizes) + 50)))
        pieces, left_out = stretches.newest(encoder, span, room)
        assert (b",".join(pieces), left_out) == one_by_one(span, room)


@pytest.mark.parametrize("spare", [0, -1])
def test_the_room_counts_to_the_byte(spare):
    links = chain(*[1000] * 100)
    pieces, left_out = Stretches().newest(Plain(), Span(None, links[-1]), 90 * 1001 + spare)
    assert left_out == 10 - spare
    assert len(b",".join(pieces)) == (90 + spare) * 1001 - 1


def test_branches_share_what_they_have_in_common():
    trunk = chain(*[1000] * 200)
    encoder, stretches = Plain(), Stretches()
    branches = [chain(*[1000] * 5, after=trunk[-1])[-1] for _ in range(2)]
    first, second = (stretches.newest(encoder, Span(None, end)).pieces for end in branches)
    shared = [piece for piece in first if any(piece is other for other in second)]
    assert sum(map(len, shared)) > 150_000
    assert len(first) < 10, "a few pieces, not one for each message"


def test_a_longer_input_encodes_only_what_is_new_in_it():
    links = chain(*[1000] * 500)
    encoder, stretches = Plain(), Stretches()
    for end in links:
        stretches.newest(encoder, Span(None, end))
    assert encoder.asked < 500 * 40


def test_no_more_stretches_are_kept_than_allowed():
    most = 4 * STRETCH_BYTES
    encoder, stretches = Plain(), Stretches(most)
    links = chain(*[1000] * 400)
    for end in links:
        stretches.newest(encoder, Span(None, end))
    known = stretches._known.values()
    assert sum(len(stretch.joined) for stretch in known) == stretches._bytes <= most
