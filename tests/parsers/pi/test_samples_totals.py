"""The records of a recorded session add up to what pi itself said of it."""

import json
from itertools import pairwise
from typing import Any

import pytest

from tests.parsers.reading import Reading, read
from tests.parsers.samples import FOLDER, SAMPLES

STATS: dict[str, Any] = json.loads((FOLDER / "stats.json").read_text())
TOKENS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cacheRead": "cache_read_tokens",
    "cacheWrite": "cache_write_tokens",
    "total": "total_tokens",
}


def entries_of(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in SAMPLES[name].splitlines()][1:]


def is_counted_whole(name: str) -> bool:
    """Whether pi counted every entry: 0.73.1 leaves out what was compacted away or abandoned."""
    entries = entries_of(name)
    is_line = all(entry["parentId"] == before["id"] for before, entry in pairwise(entries))
    return not name.startswith("0.73.1") or (
        is_line and all(entry["type"] != "compaction" for entry in entries)
    )


def was_retried(name: str) -> bool:
    """Whether a call failed, for 0.73.1 forgets the answers that it retried."""
    return any(entry.get("message", {}).get("stopReason") == "error" for entry in entries_of(name))


def summed(found: Reading) -> dict[str, int]:
    return {pi: sum(getattr(made.usage, ours) for made in found.generations) for pi, ours in TOKENS.items()}


WHOLE = [name for name in SAMPLES if is_counted_whole(name)]


def test_there_is_something_to_add_up() -> None:
    assert set(STATS) == set(SAMPLES)
    assert (
        sum(name.startswith("0.87.1") for name in WHOLE)
        == sum(name.startswith("0.87.1") for name in SAMPLES)
        >= 6
    )
    assert sum(name.startswith("0.73.1") for name in WHOLE) >= 6


@pytest.mark.parametrize("grouping", ["message", "session"])
@pytest.mark.parametrize("name", WHOLE)
def test_tokens_and_cost_are_those_that_pi_reported(name: str, grouping: str) -> None:
    found = read(SAMPLES[name], grouping=grouping)
    assert summed(found) == STATS[name]["tokens"]
    assert sum(made.usage.cost_usd for made in found.generations) == pytest.approx(
        STATS[name]["cost"], rel=1e-12
    )
    parts = sum(made.usage.input_cost_usd + made.usage.output_cost_usd for made in found.generations)
    assert parts == pytest.approx(STATS[name]["cost"], rel=1e-12)


@pytest.mark.parametrize(
    "name", [name for name in WHOLE if not (name.startswith("0.73.1") and was_retried(name))]
)
def test_messages_and_tool_calls_are_those_that_pi_counted(name: str) -> None:
    found = read(SAMPLES[name]).finished
    said = STATS[name]
    tools = [span for span in found.spans if span.parent_id in {made.id for made in found.generations}]
    assert sum(made.name == "chat" for made in found.generations) == said["assistantMessages"]
    assert len(tools) == said["toolCalls"]
    assert sum(span.output is not None for span in tools) == said["toolResults"]
    assert found.session.prompts == said["userMessages"]


@pytest.mark.parametrize("name", [name for name in SAMPLES if name not in WHOLE])
def test_where_pi_left_something_out_there_is_more_here(name: str) -> None:
    found = read(SAMPLES[name])
    assert sum(made.usage.cost_usd for made in found.generations) > STATS[name]["cost"]


@pytest.mark.parametrize("grouping", ["message", "session"])
@pytest.mark.parametrize("name", SAMPLES)
def test_every_record_of_a_sample_is_told_once_and_in_a_trace(name: str, grouping: str) -> None:
    found = read(SAMPLES[name], grouping=grouping).finished
    assert found.issues == {}
    assert len({record.id for record in found.records}) == len(found.records)
    assert {made.trace_id for made in found.generations} == {trace.id for trace in found.traces}
    known = {record.id for record in found.records}
    assert all(record.parent_id in known for record in (*found.generations, *found.spans))
