"""Reads damaged sessions by the ten thousand, and checks what must be true of any file.

    python -m tests.fuzz [--cases 100000] [--seed 1] [--jobs 2]

A case is some lines of a recorded session, damaged in a few places: bytes, JSON values, the order of lines. A
seed gives the same cases every time. The exit code is 1 if one breaks a rule; its bytes are shown, to be kept
in ``tests/fixtures/fuzz``.
"""

from __future__ import annotations

import json
import math
import random
import sys
from pathlib import Path
from typing import Any

import msgspec

from importer.build.events import EventBuilder
from importer.build.facts import SessionFacts
from importer.build.trimming import EVENT_LIMIT
from importer.settings import Settings
from parsers.agents.omp import OMP
from parsers.agents.openclaw import OPENCLAW
from parsers.identity import digest
from parsers.pi import entries as e
from parsers.pi.decoding import BadLineError, decode_after_torn, decode_line
from parsers.pi.session import Session
from parsers.pi.subagents import read_result_usage
from parsers.records import AnyRecord, Generation
from parsers.usage import read_usage
from tests import cases
from tests.parsers.reading import plain

ROOT = Path(__file__).parent
CORPUS = ROOT / "fixtures" / "fuzz"
FOR_EVER_MS = 10**14
LONGEST_LINE = 3000
EVENTS_EVERY, PURITY_EVERY = 4, 4
FACTS = SessionFacts("session", "project", "file.jsonl")
WORDS = ("message", "assistant", "user", "toolResult", "compaction", "context_edit", "toolCall", "system", "")
NUMBERS = (0, -1, 1.5, 2**53, 2**63, 2**64, 10**30, 10**400, 1e300, -0.0, math.nan, math.inf, 253402300799999)
ODD: tuple[Any, ...] = (
    None,
    True,
    [],
    {},
    "\ud83d",
    "\x1b[31m",
    "\0",
    [[]],
    {"": None},
    "9999-12-31T23:59:59Z",
)
TOKENS = (
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b":",
    b",",
    b"\\",
    b"\\u",
    b"\\ud83d",
    b"NaN",
    b"1e999",
    b"\0",
    b"\xff",
)
TOKENS += (b"\xed\xa0\x80", b"-", b"\r", b"\n", b'{"type":"message"', b"null", b"\xe2\x80\xa8", b"9" * 400)


class BrokenRuleError(AssertionError):
    """A case breaks a rule that any file must keep."""


def sources() -> list[list[bytes]]:
    """Return the lines of the recorded sessions, without the longest, which only take time."""
    files = [*(ROOT.parent / "sample_sessions").rglob("*.jsonl"), *(ROOT / "fixtures").rglob("*.jsonl")]
    read = (path.read_bytes().split(b"\n")[:-1] for path in sorted(files))
    short = ([line for line in lines if len(line) <= LONGEST_LINE] for lines in read)
    return [lines for lines in short if len(lines) > 1]


def case(chance: random.Random, files: list[list[bytes]]) -> list[bytes]:
    """Damage some lines of a session."""
    lines = chance.choice(files)
    start = chance.randrange(1, len(lines))
    taken = [lines[0], *lines[start : start + chance.randrange(1, 7)]]
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(taken))
        damage = chance.random()
        if damage < 0.5:
            taken[at] = with_other_value(chance, taken[at])
        elif damage < 0.8:
            taken[at] = with_other_bytes(chance, taken[at])
        elif damage < 0.9:
            taken.insert(at, chance.choice(chance.choice(files)))
        else:
            other = chance.randrange(len(taken))
            taken[at], taken[other] = taken[other], taken[at]
    return b"\n".join(taken).split(b"\n")


def with_other_bytes(chance: random.Random, line: bytes) -> bytes:
    """Replace, double or remove some bytes of a line."""
    at = chance.randrange(len(line) + 1)
    gone = chance.randrange(5)
    if chance.random() < 0.2:
        return line[:at]
    if chance.random() < 0.2:
        return line + line[at:]
    return line[:at] + chance.choice(TOKENS) + line[at + gone :]


def with_other_value(chance: random.Random, line: bytes) -> bytes:
    """Put another JSON value somewhere into a line."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return with_other_bytes(chance, line)
    holder: Any = [entry]
    key: Any = 0
    while isinstance(holder[key], (dict, list)) and holder[key] and chance.random() < 0.85:
        holder = holder[key]
        key = chance.choice(list(holder)) if isinstance(holder, dict) else chance.randrange(len(holder))
    kind = chance.choice((WORDS, NUMBERS, ODD))
    holder[key] = chance.choice(kind)
    return json.dumps(entry).encode()


def check(lines: list[bytes], number: int = 0) -> int:
    """Read a case and check all rules; raise what went wrong, return the number of its records."""
    grouping: Any = ("message", "session")[number % 2]
    session = Session(grouping)
    records = [record for line in lines for record in session.feed(line)]
    at_end = session.finish(FOR_EVER_MS)
    _rule(all(1 <= issue.line <= len(lines) for issue in session.issues.values()), "an issue without a line")
    _rule(_ids(at_end) == _ids(session.finish(FOR_EVER_MS)), "finish is no question, it changes something")
    kinds: dict[str, type] = {}
    for record in (*records, *at_end):
        _rule(kinds.setdefault(record.id, type(record)) is type(record), "one id for two kinds of records")
        _rule(record.latency_s is None or record.latency_s >= 0, "a negative latency")
    calls = [record for record in records if isinstance(record, Generation)]
    _rule(sum(call.usage.output_tokens for call in calls) == _output_tokens(lines), "tokens lost or made up")
    _rule(len(_ids(at_end)) == len(set(_ids(at_end))), "an id twice at the end")
    if number % PURITY_EVERY == 0:
        asked = Session(grouping)
        again = []
        for line in lines:
            again += asked.feed(line)
            asked.finish(FOR_EVER_MS)
        _rule([*map(plain, again)] == [*map(plain, records)], "what a line completes depends on a question")
    if number % EVENTS_EVERY == 0:
        builder = EventBuilder(Settings(), FACTS)
        for record in (*records, *at_end):
            encoded = builder.build(record).encode()
            _rule(len(encoded) <= EVENT_LIMIT, "an event over the limit")
            msgspec.json.decode(encoded.decode())  # raises for what is no JSON, or no UTF-8
        for agent in (OMP, OPENCLAW):
            other = agent.parser(grouping, 3_600_000)
            for line in lines:
                other.feed(line)
            other.finish(FOR_EVER_MS)
    return len(records) + len(at_end)


def _rule(holds: bool, broken: str) -> None:
    if not holds:
        raise BrokenRuleError(broken)


def _ids(records: list[AnyRecord]) -> list[str]:
    return [record.id for record in records]


def _output_tokens(lines: list[bytes]) -> int:
    """Add up the output tokens of the lines, each once, without a replay of their branches."""
    total = 0
    begun = False
    seen: set[object] = set()
    for line in lines:
        try:
            entry = decode_line(line).line
        except BadLineError:
            behind = decode_after_torn(line)
            if behind is None:
                continue
            entry = behind.line
        if isinstance(entry, e.SessionHeader):
            begun = True
        if not begun or isinstance(entry, (e.SessionHeader, e.TitleLine)):
            continue
        named = (entry.id, type(entry), entry.timestamp)
        key = digest(line.strip().decode(errors="replace")) if entry.id is None else named
        if key not in seen:
            seen.add(key)
            total += _tokens_of(entry)
    return total


def _tokens_of(entry: Any) -> int:
    if isinstance(entry, e.MessageEntry):
        message = entry.message
        if isinstance(message, e.AssistantMessage):
            return read_usage(message.usage).output_tokens
        nested = read_result_usage(message) if isinstance(message, e.ToolResultMessage) else None
        return nested.output_tokens if nested else 0
    if isinstance(entry, (e.UsageEntry, e.Compaction, e.BranchSummary)):
        return read_usage(entry.usage).output_tokens
    return 0


def run(seed: int, start: int, count: int) -> tuple[int, cases.Failed]:
    """Check some cases; return the number of records, and number, fault and bytes of failures."""
    files = sources()
    return cases.checked(seed, range(start, start + count), lambda chance: case(chance, files), check)


if __name__ == "__main__":
    sys.exit(cases.main(run, __doc__, "records"))
