"""Ids follow from what pi recorded of a call, and from nothing else."""

from uuid import UUID, uuid5

import pytest

from parsers.identity import derive, digest
from tests.parsers.build import HOUR, IMAGE, Transcript, call, text, usage
from tests.parsers.encodings import ENCODINGS, entries_of, file_of, migrated, renamed
from tests.parsers.reading import Reading, plain, read
from tests.parsers.samples import SAMPLES

IDS = [
    ("chat", "dce7c287-6f28", "a623fbfc-2982"),
    ("bash", "5d15f82f-427e", "a623fbfc-2982"),
    ("bash", "801eb521-de87", "a623fbfc-2982"),
    ("ask", "39bb83f7-fc0f", "a623fbfc-2982"),
    ("chat", "6e1843a7-4f06", "a623fbfc-2982"),
    ("user_bash", "2072a26b-bc1e", "a623fbfc-2982"),
    ("größe", "6da3362f-a96a", "a623fbfc-2982"),
    ("größe", "a623fbfc-2982", "a623fbfc-2982"),
    ("chat", "7c03145f-1cff", "acb93645-e184"),
    ("compaction", "976c23bc-19d6", "acb93645-e184"),
    ("chat", "df5b14f1-8b07", "acb93645-e184"),
    ("bash", "d9b1363d-f9ac", "acb93645-e184"),
    ("chat", "c4ddf574-0987", "acb93645-e184"),
    ("cache_warm", "75913972-243a", "acb93645-e184"),
    ("more", "aab7e1b1-9a65", "acb93645-e184"),
    ("more", "acb93645-e184", "acb93645-e184"),
    ("chat", "f7ca12e1-25ec", "d55a5a39-800d"),
    ("bye", "5c3be873-99da", "d55a5a39-800d"),
    ("bye", "d55a5a39-800d", "d55a5a39-800d"),
]
"""The names, ids and trace ids of all records of :func:`tale`."""


def tale(version: int = 3) -> Transcript:
    """A session with something of everything that the given version knows, in a single line of entries."""
    talk = Transcript(version)
    talk.entry("model_change", provider="mock", modelId="mock-1")
    talk.user([text("größe \u2028 😀"), IMAGE])
    talk.assistant(
        {"type": "thinking", "thinking": "hm"}, "look", call("c1", n=1), call("c2"), usage=usage(7, 3, 2, 1)
    )
    talk.result("c1", "one", details={"lines": 2})
    talk.result("c2", "two", isError=True, toolName="ask", usage=usage(3))
    talk.message("custom" if version > 2 else "hookMessage", customType="note", content="psst")
    talk.assistant("done", responseId="r1")
    talk.wait(HOUR)
    talk.bash("ls", "out", 1)
    second = talk.user("more")
    talk.assistant("more", stopReason="length")
    kept = {"firstKeptEntryIndex": 9} if version == 1 else {"firstKeptEntryId": second}
    talk.compaction("so far", **kept, usage=usage(50))
    talk.assistant(call("c3"), "rest")
    talk.queued("hurry", typed_ago=500)
    talk.assistant(stopReason="error", errorMessage="gone")
    talk.entry("usage", kind="cache_warm", provider="mock", model="mock-1", usage=usage(1))
    talk.user("bye")
    talk.assistant("bye")
    return talk


def told(data: bytes, **options: str) -> list[bytes]:
    return [plain(record) for record in read(data, **options).finished.records]


def ids(found: Reading) -> list[str]:
    return [record.id for record in found.finished.records]


def test_ids_are_uuids_of_version_5_and_never_the_same_twice() -> None:
    found = ids(tale().read())
    assert {UUID(record_id).version for record_id in found} == {5}
    assert len(set(found)) == len(found) == 19


def test_ids_of_today_are_the_ids_of_ever() -> None:
    """A changed id is delivered a second time, and nothing that was delivered can be taken back."""
    found = tale().read().finished.records
    assert [(record.name, record.id[:13], record.trace_id[:13]) for record in found] == IDS


def test_an_id_is_the_uuid5_of_what_was_recorded_as_json() -> None:
    namespace = UUID("8c0a3c5e-8f4e-5d0b-9d3c-6b1d5c1a7e42")
    assert derive("span", "ü", None, 5) == str(uuid5(namespace, '["span","ü",null,5]'))


def test_kinds_and_values_are_told_apart() -> None:
    assert derive("a", "b") != derive("ab") != derive("a", None, "b")
    assert derive("a", 1) != derive("a", "1")
    assert derive("a", "b", "c") == derive("a", "b", "c")
    assert digest("a") != digest("b")


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("grouping", ["message", "session"])
def test_a_file_that_pi_migrated_gives_the_same_records(version: int, grouping: str) -> None:
    old = tale(version).data
    new = file_of(migrated(entries_of(old)))
    assert new != old
    assert told(new, grouping=grouping) == told(old, grouping=grouping)


def test_all_versions_give_the_same_records() -> None:
    assert told(tale(1).data) == told(tale(2).data) == told(tale(3).data)


@pytest.mark.parametrize("grouping", ["message", "session"])
@pytest.mark.parametrize("name", SAMPLES)
def test_entry_ids_session_id_and_folder_are_no_part_of_a_record(name: str, grouping: str) -> None:
    data = SAMPLES[name]
    assert told(file_of(renamed(entries_of(data))), grouping=grouping) == told(data, grouping=grouping)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("version", [1, 2, 3])
def test_how_a_line_is_written_is_no_part_of_a_record(version: int, encoding: str) -> None:
    data = tale(version).data
    again = ENCODINGS[encoding](entries_of(data))
    assert told(again) == told(data)
    assert read(again).issues == {}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_recorded_session_may_be_written_in_any_way(name: str) -> None:
    data = SAMPLES[name]
    for encode in ENCODINGS.values():
        assert told(encode(entries_of(data))) == told(data)


def test_the_order_of_branches_is_no_part_of_an_id() -> None:
    talk = Transcript()
    talk.user("go")
    start = talk.assistant("1")
    lines = []
    for prompt in ("left", "right"):
        talk.user(prompt, at=start)
        talk.assistant(call(prompt))
        talk.result(prompt)
        talk.assistant("done")
        lines.append(talk.lines[-4:])
    head = b"".join(talk.lines[:3])
    left, right = (b"".join(branch) for branch in lines)
    assert set(ids(read(head + left + right))) == set(ids(read(head + right + left)))
    assert len(set(ids(read(head + left + right)))) == 6 + 3 + 4


def test_a_call_is_the_same_call_in_a_fork() -> None:
    old = tale()
    fork = Transcript(start_ms=old.now_ms + HOUR, id="s2", parentSession="/old.jsonl")
    fork.lines += old.lines[1:]
    fork.leaf = old.leaf
    fork.user("on")
    fork.assistant("here")
    known, found = ids(old.read()), ids(fork.read())
    assert found[: len(known)] == known
    assert len(set(found) - set(known)) == 3


@pytest.mark.parametrize("version", ["0.73.1", "0.87.1"])
def test_calls_that_pi_copied_into_a_fork_are_the_same_calls(version: str) -> None:
    forks = [read(data) for name, data in SAMPLES.items() if name.startswith(f"{version}/fork/")]
    original, *others = sorted(forks, key=lambda found: found.session.header.parent_session or "")  # type: ignore[union-attr]
    known = {record.id for record in original.finished.records}
    for other in others:
        copied = {record.id for record in other.records if record.copied}
        here = {record.id for record in other.finished.records if not record.copied}
        assert copied
        assert copied <= known
        assert here
        assert not here & known


def test_calls_that_differ_in_anything_recorded_differ_in_their_ids() -> None:
    found = set()
    changes = [{}, {"model": "m"}, {"provider": "p"}, {"usage": usage(1)}, {"stopReason": "length"}]
    changes += [{"responseId": "r"}, {"takes": 5}, {"errorMessage": "e"}]
    for change in changes:
        talk = Transcript()
        talk.assistant("hi", **change)
        found.add(talk.read().records[0].id)
    assert len(found) == len(changes)


def test_calls_of_one_answer_differ_though_they_ask_for_the_same() -> None:
    talk = Transcript()
    talk.user("go")
    talk.assistant(call("c1", command="ls"), call("c2", command="ls"))
    first, second = talk.read().finished.spans
    assert first.id != second.id


def test_the_same_tool_call_id_in_another_answer_is_another_span() -> None:
    talk = Transcript()
    talk.user("go")
    for _ in range(2):
        talk.assistant(call("c1"))
        talk.result("c1")
    first, second = talk.read().spans
    assert first.id != second.id
