"""A packed body is a gzip stream of its pieces, whatever they are and however often they come."""

from __future__ import annotations

import gzip
import random

import pytest

from importer.deliver.packing import Packer


@pytest.mark.parametrize("kept_bytes", [0, 100_000, 16 * 1024 * 1024])
def test_any_pieces_come_out_as_they_went_in(kept_bytes):
    chance = random.Random(kept_bytes)
    packer = Packer(kept_bytes)
    shared = [chance.randbytes(20_000) + b"words " * size for size in (10, 1_000, 10_000)]
    for _ in range(40):
        pieces = [
            chance.choice([b"", b",", b"{" * chance.randrange(300), *shared, chance.randbytes(30_000)])
            for _ in range(chance.randrange(12))
        ]
        assert gzip.decompress(packer.packed(pieces)) == b"".join(pieces)


def test_a_piece_is_packed_the_same_way_again():
    packer, piece = Packer(), b"the same words " * 3_000
    assert packer.packed([piece]) == packer.packed([piece]) == Packer().packed([piece])
    assert len(packer.packed([piece])) < len(piece) / 20
