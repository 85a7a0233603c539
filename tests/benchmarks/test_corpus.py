"""The corpora of the benchmarks: the same for the same seed, and preview counts what was written."""

from __future__ import annotations

import json

import pytest

from benchmarks.corpus import Shape, ensure_corpus, generate, parse_size
from tests.command import Command

SHAPE = Shape(bytes=6_000_000, files=24, spread=1.6, seed=18)
PARTS = (b'"parentSession":', b'"type":"compaction"', b'"stopReason":"error"', b'"stopReason":"aborted"')


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.jsonl")}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus") / "sessions"
    return folder, generate(folder, SHAPE)


def test_a_corpus_has_about_the_size_and_exactly_the_number_of_files(corpus):
    folder, written = corpus
    files = contents(folder)
    assert len(files) == written.sessions == 24
    assert sum(map(len, files.values())) == written.bytes == pytest.approx(6_000_000, rel=0.02)
    assert sum(content.count(b"\n") for content in files.values()) == written.lines


def test_the_same_seed_makes_the_same_files_and_another_one_others(corpus, tmp_path):
    small = Shape(bytes=300_000, files=3)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        generate(tmp_path / name, Shape(small.bytes, small.files, seed=seed))
    assert contents(tmp_path / "a") == contents(tmp_path / "b") != contents(tmp_path / "c")


def test_every_line_is_written_as_pi_does(corpus):
    folder, _ = corpus
    for content in contents(folder).values():
        for line in content.splitlines():
            again = json.dumps(json.loads(line), ensure_ascii=False, separators=(",", ":"))
            assert again.encode() == line


def test_preview_counts_what_was_written_without_a_warning(corpus, tmp_path):
    folder, written = corpus
    together = b"".join(contents(folder).values())
    assert all(part in together for part in PARTS)
    done = Command(tmp_path / "home")("preview", folder, "--json")
    assert (done.code, done.err) == (0, "")
    shown = done.json
    assert (shown["skipped_files"], shown["warnings"]) == ([], [])
    for name in ("sessions", "generations", "spans", "prompts"):
        assert shown[name] == getattr(written, name), name
    assert shown["cost_usd"] == pytest.approx(written.cost_usd)


def test_a_corpus_is_used_again_until_another_shape_is_asked_for(tmp_path):
    folder, small = tmp_path / "sessions", Shape(bytes=200_000, files=2)
    first = ensure_corpus(folder, small)
    before = {path: path.stat().st_ctime_ns for path in folder.rglob("*.jsonl")}
    assert ensure_corpus(folder, small) == first
    assert {path: path.stat().st_ctime_ns for path in folder.rglob("*.jsonl")} == before
    other = ensure_corpus(folder, Shape(bytes=200_000, files=4))
    assert other.sessions == len(contents(folder)) == 4


@pytest.mark.parametrize(
    ("text", "size"), [("800", 800), ("2kB", 2000), ("1.5GB", 1_500_000_000), ("265MB", 265_000_000)]
)
def test_a_size_is_parsed_with_its_unit(text, size):
    assert parse_size(text) == size
