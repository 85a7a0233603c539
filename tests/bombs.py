"""Session files that are made to hurt: each small, each aimed at something that could take quadratic time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from parsers.times import to_rfc3339

START_MS = 1_760_000_000_000
LATE_MS = 1_770_000_000_000
Line = dict[str, Any] | bytes
Lines = Iterator[Line]
USAGE = {"input": 1, "output": 1, "cost": {"total": 0.01}}


def entry(number: int, parent: int | None, kind: str = "message", **fields: Any) -> dict[str, Any]:
    """An entry; its number is its id and its time."""
    parent_id = None if parent is None else f"e{parent}"
    when = to_rfc3339(START_MS + 10 * number)
    return {"type": kind, "id": f"e{number}", "parentId": parent_id, "timestamp": when, **fields}


def user(number: int, parent: int | None, content: Any = "a") -> dict[str, Any]:
    return entry(number, parent, message={"role": "user", "content": content})


def answer(number: int, parent: int | None, content: Any = "b", **fields: Any) -> dict[str, Any]:
    message = {"role": "assistant", "provider": "p", "model": "m", "content": content, "stopReason": "stop"}
    return entry(number, parent, message={**message, "usage": USAGE, **fields})


def result(number: int, parent: int | None, call: str, **fields: Any) -> dict[str, Any]:
    message = {"role": "toolResult", "toolCallId": call, "toolName": "t", "content": "", **fields}
    return entry(number, parent, message=message)


def call(call_id: str, name: str = "t", arguments: Any = None) -> dict[str, Any]:
    return {"type": "toolCall", "id": call_id, "name": name, "arguments": arguments or {}}


def write(path: Path, lines: Lines, size: int, **header: Any) -> int:
    """Write lines until there are so many bytes; returns how many there are."""
    head = {"type": "session", "version": 3, "id": path.stem, "timestamp": to_rfc3339(START_MS), "cwd": "/p"}
    written = 0
    with path.open("wb") as file:
        for line in ({**head, **header}, *()):
            written += file.write(json.dumps(line).encode() + b"\n")
        while written < size and (line := next(lines, None)) is not None:
            written += file.write((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n")
    return written


def chain(count: int) -> Lines:
    """So many user messages, each with an id, one after the other."""
    for number in range(count):
        yield user(number, number - 1 if number else None)


def context_edits(size: int) -> Lines:
    """Half of the file is a context, half of it edits that take away and bring back its first message."""
    count = size // 280
    yield from chain(count)
    for number in range(count, 10**9):
        replacement = {"content": "c"} if number % 2 else None
        yield entry(number, number - 1, "context_edit", targetId="e0", replacement=replacement)


def edits_and_calls(size: int) -> Lines:
    """The same with a call after each edit, which holds on to the context."""
    count = size // 300
    yield from chain(count)
    for number in range(count, 10**9, 2):
        yield entry(number, number - 1, "context_edit", targetId="e1", replacement={"content": f"{number}"})
        yield answer(number + 1, number)


def edits_that_leave_out(size: int) -> Lines:
    """Every message is left out by an edit."""
    count = size // 280
    yield from chain(count)
    for number in range(count, 10**9):
        yield entry(number, number - 1, "context_edit", targetId=f"e{number - count}", replacement=None)


def compactions(size: int) -> Lines:
    """Every compaction keeps all that there is."""
    count = size // 400
    yield from chain(count)
    for number in range(count, 10**9):
        fields = {"summary": "s", "firstKeptEntryId": "e0", "tokensBefore": number, "usage": USAGE}
        yield entry(number, number - 1, "compaction", **fields)


def results_of_one_answer(size: int) -> Lines:
    """One answer with very many tool calls, and each of them is answered."""
    count = size // 260
    yield user(0, None)
    yield answer(1, 0, [call(f"c{each}") for each in range(count)], stopReason="toolUse")
    for number in range(2, count + 2):
        yield result(number, number - 1, f"c{number - 2}")


def branches_from_open_calls(size: int) -> Lines:
    """One answer with very many tool calls, and prompts that hang off it: none of the calls is answered."""
    yield user(0, None)
    yield answer(1, 0, [call(f"c{each}") for each in range(size // 150)], stopReason="toolUse")
    for number in range(2, 10**9):
        yield user(number, 1)


def branches_from_answered_calls(size: int) -> Lines:
    """The same after the last of the results."""
    count = size // 400
    yield user(0, None)
    yield answer(1, 0, [call(f"c{each}") for each in range(count)], stopReason="toolUse")
    for number in range(2, count + 2):
        yield result(number, number - 1, f"c{number - 2}")
    for number in range(count + 2, 10**9):
        yield user(number, count + 1)


def branch_summaries(size: int) -> Lines:
    """Two branches, and summaries of the one at the end of the other."""
    count = size // 600
    for start in (0, count):
        for number in range(start, start + count):
            yield user(number, number - 1 if number > start else None)
    for number in range(2 * count, 10**9):
        fields = {"summary": "s", "fromId": f"e{count - 1}", "usage": USAGE}
        yield entry(number, 2 * count - 1, "branch_summary", **fields)


def prompt_sections(size: int) -> Lines:
    """System messages that each add a section."""
    for number in range(10**9):
        message = {"role": "system", "content": "", "sections": {f"s{number}": "x"}}
        yield entry(number, number - 1 if number else None, message=message)


def prompt_texts(size: int) -> Lines:
    """System messages that each add a text, with a call after each."""
    for number in range(0, 10**9, 2):
        message = {"role": "system", "content": "told"}
        yield entry(number, number - 1 if number else None, message=message)
        yield answer(number + 1, number)


def large_prompt_patched(size: int) -> Lines:
    """A very long system prompt of which every call changes a word."""
    yield entry(0, None, message={"role": "system", "content": "word " * (size // 10)})
    for number in range(1, 10**9, 2):
        message = {"role": "system", "content": "", "sections": {"date": str(number)}}
        yield entry(number, number - 1, message=message)
        yield answer(number + 1, number)


def tools_patched(size: int) -> Lines:
    """Very many tools, of which every call changes one."""
    tools = [{"name": f"t{each}", "description": "d"} for each in range(size // 80)]
    yield entry(0, None, message={"role": "system", "content": "", "toolsAdded": tools})
    for number in range(1, 10**9, 2):
        added = [{"name": "t0", "description": str(number)}]
        yield entry(number, number - 1, message={"role": "system", "content": "", "toolsAdded": added})
        yield answer(number + 1, number)


def answers_to_one_large_message(size: int) -> Lines:
    """Branches off one message that is far too large for an event."""
    blocks = [{"type": "text", "text": "word " * 20} for _ in range(size // 280)]
    yield user(0, None, blocks)
    for number in range(1, 10**9):
        yield answer(number, 0)


def nested_calls(size: int) -> Lines:
    """A tool result with very many nested calls, each inside the one before."""
    yield user(0, None)
    yield answer(1, 0, [call("c")], stopReason="toolUse")
    calls = [{"id": f"c/{each}", "name": "n", "arguments": {}, "status": "ok"} for each in range(size // 65)]
    yield result(2, 1, "c", nestedCalls={"calls": calls})


def wrong_blocks(size: int) -> Lines:
    """Content of which nothing fits."""
    yield user(0, None, [1] * (size // 6))
    yield user(1, 0, [{"type": 1}] * (size // 28))


def wrong_names(size: int) -> Lines:
    """Wrong types under very many different names."""
    sections = {f"section {each}": each for each in range(size // 25)}
    yield entry(0, None, message={"role": "system", "content": "", "sections": sections})


def wrong_in_turn(size: int) -> Lines:
    """A wrong type at another place in every line."""
    for number in range(10**9):
        blocks = [{"type": "text", "text": "x"}] * (number % 100) + [3]
        yield user(number, number - 1 if number else None, blocks)


def nested_values(size: int) -> Lines:
    """Arguments and details that are nested far deeper than any reader recurses."""
    deep = b"[" * (size // 8) + b"]" * (size // 8)
    yield user(0, None)
    yield (
        b'{"type":"message","id":"e1","parentId":"e0","message":{"role":"toolResult","details":'
        + deep
        + b"}}"
    )
    yield b'{"type":"custom","id":"e2","data":' + b'{"a":' * (size // 12)


def nested_less(size: int) -> Lines:
    """The same, as deep as a reader just goes along."""
    for number in range(10**9):
        deep: Any = 1
        for _ in range(400):
            deep = [deep]
        yield result(number, number - 1 if number else None, "c", details=deep)


def many_keys(size: int) -> Lines:
    """Details with very many keys."""
    yield user(0, None)
    yield result(1, 0, "c", details={f"key {each}": each for each in range(size // 22)})


def huge_numbers(size: int) -> Lines:
    """Numbers of thousands of digits."""
    yield user(0, None)
    for number in range(1, 10**9):
        line = json.dumps(result(number, number - 1, "c", details="@"))
        yield line.replace('"@"', "9" * 5000).encode()


def surrogates(size: int) -> Lines:
    """Halves of surrogate pairs, and what could be taken for them."""
    yield user(0, None)
    line = json.dumps(user(1, 0, "@"))
    yield line.replace("@", r"\ud83d\\" * (size // 16)).encode()
    yield line.replace("@", "\\" * (size // 4 * 2) + r"\ud83d").encode()


def entry_starts(size: int) -> Lines:
    """A line in which an entry seems to begin at every word."""
    yield b'{"type":"message"' * (size // 17)


def empty_lines(size: int) -> Lines:
    """Nothing but newlines."""
    while True:
        yield b""


def long_line(size: int) -> Lines:
    """One prompt that is as long as the file."""
    yield user(0, None, "x" * (size - 400))
    yield answer(1, 0)


def parents_in_a_row(size: int) -> Lines:
    """Entries that name parents which are not there, or themselves."""
    for number in range(10**9):
        yield user(number, number + (number % 2))


def windows_style_parent(folder: Path, size: int) -> int:
    """A parent's name that a careless pattern tries from every place."""
    return write(
        folder / "s.jsonl", iter([user(0, None), answer(1, 0)]), 10**9, parentSession="0Z_" * (size // 3)
    )


def runs_of_a_subagent(folder: Path, size: int) -> int:
    """A parent with very many calls that may have started a subagent with very many runs."""
    name = "2026-01-01T00-00-00-000Z_parent.jsonl"
    arguments = {"task": "do it"}
    calls = ([call(f"c{number}", "subagent", arguments)] for number in range(10**9))
    parent = (answer(number, number - 1 if number else None, next(calls)) for number in range(10**9))
    written = write(folder / name, parent, size // 2)
    child = (
        line
        for number in range(50_000_000, 10**9, 2)
        for line in (user(number, number - 1, "do it"), answer(number + 1, number))
    )
    return written + write(folder / "child.jsonl", child, size // 2, parentSession=f"/x/{name}")


def _file(lines: Callable[[int], Lines]) -> Callable[[Path, int], int]:
    def make(folder: Path, size: int) -> int:
        return write(folder / "s.jsonl", lines(size), size)

    return make


IN_ONE_FILE = (
    context_edits,
    edits_and_calls,
    edits_that_leave_out,
    compactions,
    results_of_one_answer,
    branches_from_open_calls,
    branches_from_answered_calls,
    branch_summaries,
    prompt_sections,
    prompt_texts,
    large_prompt_patched,
    tools_patched,
    answers_to_one_large_message,
    nested_calls,
    wrong_blocks,
    wrong_names,
    wrong_in_turn,
    nested_values,
    nested_less,
    many_keys,
    huge_numbers,
    surrogates,
    entry_starts,
    empty_lines,
    long_line,
    parents_in_a_row,
)
BOMBS: dict[str, Callable[[Path, int], int]] = {
    **{lines.__name__: _file(lines) for lines in IN_ONE_FILE},
    windows_style_parent.__name__: windows_style_parent,
    runs_of_a_subagent.__name__: runs_of_a_subagent,
}


def _ordinary(size: int) -> Lines:
    """Runs of some tool calls, as pi writes them."""
    number, parent = 0, None
    while True:
        yield user(number, parent, "fix the basket " * 4)
        for step in range(4):
            number += 1
            blocks = [{"type": "text", "text": "let me look"}, call(f"c{number}", "bash", {"command": "ls"})]
            yield answer(number, number - 1, blocks, stopReason="toolUse")
            number += 1
            content = [{"type": "text", "text": f"line {step} of code\n" * 40}]
            yield result(number, number - 1, f"c{number - 1}", content=content)
        number, parent = number + 2, number + 1
        yield answer(parent, parent - 1, "done")


ORDINARY = _file(_ordinary)
