"""The events of some session files as columns: what a worker process hands over, a few bytes a value."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from msgspec import Struct, field

from parsers.session import Issue

if TYPE_CHECKING:
    pass

KINDS = ("generation", "span", "trace", "identify")
GENERATION, SPAN, TRACE, IDENTIFY = range(4)
NO_TIME = -(2**63)


def _integers() -> array[int]:
    return array("q")


class CountedFile(Struct):
    """What was found in one session file besides its events.

    Attributes:
        events: how many there are.
        name, first_prompt: what a person knows the session by.
        words_line: the line after which these two have not changed; None where nobody can tell.
        subagent: the name of the subagent whose session it is.
        issues: what was wrong with it.
        open_traces: the ids of the traces that were still being collected at its end.
        is_final: whether there will be no more records as long as nothing is written.
        error: why it could not be read.
    """

    events: int = 0
    name: str | None = None
    first_prompt: str | None = None
    words_line: int | None = None
    subagent: str | None = None
    issues: list[Issue] = field(default_factory=list)
    open_traces: list[bytes] = field(default_factory=list)
    is_final: bool = False
    error: str | None = None


class Columns(Struct):
    """Events of some files, in the order of the files and of their records.

    Attributes:
        files: the files.
        ids: the uuids, 16 bytes each.
        kinds: what each is, an index into KINDS.
        models: which model's, an index into ``model_names``.
        end_ms: when it ended, in ms.
        full, turn, new: about how many bytes it has, by input context.
        prompted: whether it is the first call that a prompt led to.
        calls: the columns of its generations: start and tokens; start is NO_TIME where pi did not record it.
        costs_usd: what each of them cost.
        trace_ids: the uuids of the traces of these, 16 bytes each.
    """

    files: list[CountedFile] = field(default_factory=list)
    model_names: list[str] = field(default_factory=lambda: [""])
    ids: bytearray = field(default_factory=bytearray)
    kinds: bytearray = field(default_factory=bytearray)
    prompted: bytearray = field(default_factory=bytearray)
    models: array[int] = field(default_factory=lambda: array("I"))
    end_ms: array[int] = field(default_factory=_integers)
    full: array[int] = field(default_factory=_integers)
    turn: array[int] = field(default_factory=_integers)
    new: array[int] = field(default_factory=_integers)
    calls: array[int] = field(default_factory=_integers)
    costs_usd: array[float] = field(default_factory=lambda: array("d"))
    trace_ids: bytearray = field(default_factory=bytearray)
