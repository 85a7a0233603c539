"""The committed sample sessions: complete, free of the recording machine, and adding up to what pi said."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.agent.install import VERSIONS
from tests.agent.stories import stories_of

SAMPLES = Path(__file__).parent.parent / "sample_sessions"
FILES = sorted(SAMPLES.rglob("*.jsonl"))
STATS: dict[str, dict[str, Any]] = json.loads((SAMPLES / "stats.json").read_text())
# What a recording machine could leave behind: its folders, its loopback ports, its users.
MACHINE = re.compile(
    rb"/tmp\b|/var/|/root\b|/Users/|/work/|/home/(?!dev\b)|127\.0\.0\.1|localhost|node_modules/\."
)
OURS = re.compile(rb"/home/dev/work/shop")


def name(path: Path) -> str:
    return path.relative_to(SAMPLES).as_posix()


def entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def usages(path: Path) -> list[dict[str, Any]]:
    """Every usage in the file, as pi counts it: answers, tools, summaries, usage entries."""
    holders = [e.get("message", e) for e in entries(path)]
    return [holder["usage"] for holder in holders if holder.get("usage")]


each_sample = pytest.mark.parametrize("path", FILES, ids=name)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_story_is_there(version: str) -> None:
    told = {path.parent.name for path in FILES if path.parent.parent.name == version}
    assert told == set(stories_of(version))
    assert len(told) >= 6


@each_sample
def test_a_sample_is_whole_lines_of_json(path: Path) -> None:
    assert path.read_bytes().endswith(b"\n")
    header, *rest = entries(path)
    assert header["type"] == "session"
    assert path.name.endswith(f"_{header['id']}.jsonl")
    assert len({e["id"] for e in rest}) == len(rest)


@each_sample
def test_a_sample_is_small_and_names_no_machine(path: Path) -> None:
    raw = path.read_bytes()
    assert len(raw) < 40_000
    assert MACHINE.findall(OURS.sub(b"", raw)) == []


@each_sample
def test_a_fork_names_a_committed_parent(path: Path) -> None:
    parent = entries(path)[0].get("parentSession")
    assert parent is None or (path.parent / Path(parent).name).exists()


def test_pi_was_asked_about_every_sample() -> None:
    assert set(STATS) == {name(path) for path in FILES}


@each_sample
def test_a_sample_adds_up_to_what_pi_said(path: Path) -> None:
    said = STATS[name(path)]
    held = usages(path)
    tokens = {kind: sum(u[kind] for u in held) for kind in ("input", "output", "cacheRead", "cacheWrite")}
    cost = sum(u["cost"]["total"] for u in held)
    if only_live_context_counted(path):
        # 0.73.1 leaves out what was compacted away or abandoned.
        assert 0 < said["cost"] < cost
        assert all(said["tokens"][kind] <= total for kind, total in tokens.items())
    else:
        assert said["cost"] == pytest.approx(cost)
        assert {kind: said["tokens"][kind] for kind in tokens} == tokens


def only_live_context_counted(path: Path) -> bool:
    """Whether pi's own numbers for this file leave something out."""
    rest = entries(path)[1:]
    parents = [e["parentId"] for e in rest]
    branched = len(set(parents)) < len(parents)
    compacted = any(e["type"] == "compaction" for e in rest)
    return path.parent.parent.name == "0.73.1" and (branched or compacted)
