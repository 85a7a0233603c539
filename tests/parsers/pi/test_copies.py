"""What a fork copied: it tells of the parent's calls what the parent's own file tells, or nothing."""

import json
from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from parsers.records import AnyRecord, Generation, Run, Span, Trace
from tests.parsers.build import HOUR, MINUTE, Transcript, call
from tests.parsers.pi.test_properties import examples
from tests.parsers.reading import plain
from tests.parsers.stories import Story, stories

PAUSES = st.sampled_from([5, MINUTE, HOUR])


def path_to(talk: Transcript, entry_id: str) -> list[dict[str, Any]]:
    """The entries that pi copies into a fork at an entry, in file order."""
    by_id = {entry["id"]: entry for entry in talk.entries}
    path = []
    current: str | None = entry_id
    while current in by_id:
        path.append(by_id[current])
        current = by_id[current]["parentId"]
    return path[::-1]


def forked(talk: Transcript, entry_id: str, after_ms: int = HOUR) -> Transcript:
    """A fork at an entry, begun a while after the parent was written last."""
    fork = Transcript(
        start_ms=talk.now_ms + after_ms, id="s2", parentSession="/s/2026-01-01T00-00-00Z_s1.jsonl"
    )
    for entry in path_to(talk, entry_id):
        fork.raw(json.dumps(entry).encode())
    fork.leaf = entry_id
    return fork


def told(record: AnyRecord) -> bytes:
    """All that a record says, apart from where it was read."""
    record.copied, record.window = False, 1
    return plain(record)


def alone(records: list[AnyRecord], above: set[str]) -> set[bytes]:
    """The same of each without what follows from other branches, too, which a fork does not copy.

    Runs and traces do; ``above`` are the ids of all of them.
    """
    return {_alone(record, above) for record in records if not isinstance(record, (Run, Trace))}


def _alone(record: AnyRecord, above: set[str]) -> bytes:
    if isinstance(record, (Generation, Span)) and record.parent_id in above | {record.trace_id}:
        record.parent_id = ""
    if isinstance(record, Generation):
        record.user_prompt = None
        record.input = None if record.name == "branch_summary" else record.input
    record.trace_id = ""
    return told(record)


def points_back(fork: Transcript) -> bool:
    """Whether its entries point to entries on their own path only, as pi's do."""
    entries = [json.loads(line) for line in fork.lines]
    known = {entry["id"] for entry in entries} | {"nowhere"}
    pointers = ("firstKeptEntryId", "targetId")
    return {entry[name] for entry in entries for name in pointers if name in entry} <= known | {"x"}


def copies(records: list[AnyRecord]) -> list[AnyRecord]:
    return [record for record in records if record.copied]


def test_a_fork_in_the_middle_of_a_run_leaves_its_trace_and_open_calls_to_the_parent() -> None:
    talk = Transcript()
    talk.user("delegate")
    asked = talk.assistant(call("c1", "subagent"))
    fork = forked(talk, asked, after_ms=5)
    fork.entry("session_info", name="subagent-helper-b491192f-1")
    fork.user("Task: count")
    fork.assistant("three")
    records = fork.read().finished.records
    assert [(type(r).__name__, r.copied) for r in records] == [
        ("Generation", True),
        ("Generation", False),
        ("Run", False),
        ("Trace", False),
    ]
    assert [type(r).__name__ for r in forked(talk, asked).read().finished.records] == ["Generation"]


def test_a_fork_after_a_run_tells_its_trace() -> None:
    talk = Transcript()
    talk.user("one")
    answer = talk.assistant("1")
    parent = {told(record) for record in talk.read().finished.records}
    for fork in (forked(talk, answer), forked(talk, answer)):
        fork.entry("session_info", name="My fork")
        fork.user("two")
        fork.assistant("2")
        found = copies(fork.read().finished.records)
        assert [type(record) for record in found] == [Generation, Run, Trace]
        assert {told(record) for record in found} == parent


def test_a_call_that_was_given_up_before_the_fork_is_told_by_both() -> None:
    talk = Transcript()
    talk.user("one")
    talk.assistant(call("c1"))
    talk.user("never mind")
    answer = talk.assistant("fine")
    found = copies(forked(talk, answer).read().finished.records)
    assert {told(record) for record in found} == {told(record) for record in talk.read().finished.records}


def own_steps(story: Story, fork: Transcript) -> tuple[Transcript, list[int]]:
    """The fork, gone on with at random, and the input tokens of what it spent itself."""
    parents, story.talk, story.ids, story.open = story.talk, fork, [], []
    before = len(story.counted)
    for _ in range(story.draw(st.integers(0, 8))):
        story.step()
    story.talk = parents
    return fork, story.counted[before:]


@examples(200)
@given(stories(steps=20), st.data(), st.sampled_from(["message", "session"]))
def test_a_random_fork_repeats_its_parents_records_and_adds_its_own(
    story: Story, picks: st.DataObject, grouping: str
) -> None:
    if not story.ids:
        return
    parent = story.talk.read(grouping=grouping).finished.records
    fork = forked(story.talk, picks.draw(st.sampled_from(story.ids)), picks.draw(PAUSES))
    fork, spent = own_steps(story, fork)
    records = fork.read(grouping=grouping).finished.records
    own = [record for record in records if not record.copied]
    calls = [record for record in own if isinstance(record, Generation)]
    assert sorted(made.usage.input_tokens for made in calls) == sorted(spent)
    assert not {record.id for record in parent} & {record.id for record in own}
    assert [uuid for uuid, times in Counter(r.id for r in records).items() if times > 1] == []
    if grouping == "message" and points_back(fork):
        above = {record.id for record in (*parent, *records) if isinstance(record, (Run, Trace))}
        assert alone(copies(records), above) <= alone(parent, above)


def test_a_fork_is_known_by_its_own_first_prompt() -> None:
    talk = Transcript()
    talk.user("one")
    answer = talk.assistant("1")
    fork = forked(talk, answer)
    assert fork.read().session.first_prompt == "one"
    fork.user("two")
    fork.user("three")
    assert fork.read().session.first_prompt == "two"


def test_a_fork_of_a_subagents_session_is_a_persons() -> None:
    talk = Transcript()
    talk.entry("session_info", name="subagent-scout-0a1b2c3d-1")
    talk.user("Task: look")
    answer = talk.assistant("seen")
    fork = forked(talk, answer)
    fork.user("and now me")
    fork.assistant("gladly")
    made = [r for r in fork.read().finished.records if isinstance(r, Generation)]
    assert [(r.copied, r.agent) for r in made] == [(True, "scout"), (False, None)]
