"""An agent: where its sessions are, which files they are, and what reads them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from parsers.counting.session import CountingSession
    from parsers.pi.decoding import Decoded
    from parsers.pi.entries import SessionHeader
    from parsers.pi.runs import Grouping
    from parsers.pi.session import Session
    from parsers.pi.subagents import Delegation, Subagent
    from parsers.records import AnyRecord, Issue

    Terms = Callable[[Decoded], Decoded]

_PARENT_FILE = re.compile(r"\dZ_([A-Za-z0-9][A-Za-z0-9._-]*)\.jsonl$")
_LONGEST_NAME = 255  # of a file, on every system: a longer text is not searched, which takes quadratic time


class SessionParser(Protocol):
    """Reads one session file; :class:`parsers.pi.session.Session` says what each member means."""

    @property
    def header(self) -> SessionHeader | None:
        """The header, once it was read."""

    @property
    def name(self) -> str | None:
        """The session's name, if it has one."""

    @property
    def first_prompt(self) -> str | None:
        """The text of the first prompt."""

    @property
    def last_prompt(self) -> str | None:
        """The text of the latest prompt."""

    @property
    def prompts(self) -> int:
        """How many user messages the file holds."""

    @property
    def subagent(self) -> Subagent | None:
        """The subagent whose session this is, known before the first record that is not copied."""

    @property
    def has_copies(self) -> bool:
        """Whether it holds entries that were copied from the session it was forked from."""

    @property
    def delegations(self) -> Collection[Delegation]:
        """The calls of tools that may start subagents."""

    @property
    def issues(self) -> Mapping[str, Issue]:
        """What was wrong with the file, by kind."""

    def feed(self, line: bytes, *, torn: bool = False) -> list[AnyRecord]:
        """Return the records that the next line completes; it may depend on nothing but the lines so far."""

    def finish(self, now_ms: int, written_ms: int = 0, *, settle_ms: int = ...) -> list[AnyRecord]:
        """Return the records of what has ended by now, although no line says so; changes nothing."""

    def is_final(self, now_ms: int, written_ms: int) -> bool:
        """Tell whether `finish` would return the same for ever, unless a line is written."""

    def open_traces(self) -> set[str]:
        """Return the ids of the traces that are still being collected."""


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that an agent may keep its sessions in.

    Attributes:
        folder: its path; ``~`` and ``$VARIABLE`` stand for what they stand for in a shell. A place whose
            variables are not all set is passed over.
        sessions: where below it the sessions are; a ``*`` stands for one folder of any name.
        setting: a JSON file in the folder, and the key in it that names another folder for the sessions.
        optional: pass it over where the folder does not exist.
    """

    folder: str
    sessions: str = ""
    setting: tuple[str, str] | None = None
    optional: bool = False


def pi_header(line: dict[str, Any]) -> dict[str, Any] | None:
    """Return a file's first line, if it is the header of a session."""
    return line if line.get("type") == "session" and isinstance(line.get("id"), str) else None


def is_jsonl(name: str) -> bool:
    """Tell whether a file's name is that of a JSON lines file."""
    return name.endswith(".jsonl")


def id_of_parent(parent: str) -> str | None:
    """Return the session id in the file name ``<time>_<id>.jsonl`` that pi names a parent by."""
    found = _PARENT_FILE.search(parent[-_LONGEST_NAME:])
    return found[1] if found else None


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent whose sessions can be imported; all of it is data and pure functions.

    Attributes:
        name: for ``--from``, ``$ai_framework`` and before the colon in ``$ai_session_id``.
        title: what people call it.
        places: where its sessions are, the first that applies.
        marks: what a path to its sessions holds (with ``/`` around every part), for paths of unknown origin.
        shape: what a path to its sessions looks like where the folder was renamed: a hint, no proof.
        parser: makes a parser for one session file, for a trace grouping and a session window in ms.
        counter: makes one that reads a file for its numbers (see :mod:`parsers.counting`), for a grouping, a
            window in ms and the longest input or output of a tool in characters; without it, all that was
            said is read, too. Its records have the same ids, times, usage and traces.
        numbers: makes one that keeps nothing of what was said but errors and prompts; its records are
            otherwise the same.
        takes: whether a file of that name is a session, as far as the name tells.
        header: the first JSON object of a file with the fields of pi's header (``id``, ``cwd``,
            ``timestamp``, ``parentSession``); None where it is not that of a session.
        agent_name: the agent's own name for who worked in the session at that path, if it gives one.
        parent_id: the id of a session's parent, as far as the header's ``parentSession`` tells it.
        unread: a pattern, below a place, of files that hold sessions which nothing here can read, and a
            word for them.
    """

    name: str
    title: str
    places: tuple[Place, ...]
    marks: re.Pattern[str]
    parser: Callable[[Grouping, int], SessionParser]
    counter: Callable[[Grouping, int, int], SessionParser] | None = None
    numbers: Callable[[Grouping, int], SessionParser] | None = None
    shape: re.Pattern[str] | None = None
    takes: Callable[[str], bool] = is_jsonl
    header: Callable[[dict[str, Any]], dict[str, Any] | None] = pi_header
    agent_name: Callable[[PurePath], str | None] | None = None
    parent_id: Callable[[str], str | None] = id_of_parent
    unread: tuple[str, str] | None = None


def make_parser(grouping: Grouping, window_ms: int, *, terms: Terms | None = None) -> Session:
    """Make a parser for one file in pi's format; it is imported when there is a file to read.

    Args:
        grouping: what becomes a trace.
        window_ms: how long a pause ends a session window, in ms.
        terms: turns a line as the agent writes it into one as pi would.
    """
    from parsers.pi.session import Session

    return Session(grouping, window_ms, terms)


def make_numbers_parser(grouping: Grouping, window_ms: int, *, terms: Terms | None = None) -> Session:
    """Make a parser for one file whose events go without content; the arguments are as above."""
    from parsers.counting.numbers import NumbersKeeper
    from parsers.pi.session import Session

    return Session(grouping, window_ms, terms, NumbersKeeper())


def make_counter(
    grouping: Grouping, window_ms: int, longest: int, *, terms: Terms | None = None
) -> CountingSession:
    """Make a parser that reads one file for its numbers.

    Args:
        grouping: what becomes a trace.
        window_ms: how long a pause ends a session window, in ms.
        terms: turns a line as the agent writes it into one as pi would.
        longest: how many characters of a tool's input or output an event has.
    """
    from parsers.counting.session import CountingSession

    return CountingSession(grouping, window_ms, longest, terms)
