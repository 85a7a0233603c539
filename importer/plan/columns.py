"""The events of some session files as columns: what a worker process hands over, a few bytes a value."""

from __future__ import annotations

import struct

from msgspec import Struct, field

from parsers.issues import Issue

KINDS = ("generation", "span", "trace", "identify")
GENERATION, SPAN, TRACE, IDENTIFY = range(4)
NO_TIME = -(2**63)

EVENT = struct.Struct("<16sqiiiiB")
"""An event: what its uuid is made of, when it ended (ms), its model, its bytes in full, turn and new context,
and its kind."""

CALL = struct.Struct("<16sqqqqqdB")
"""A generation besides: its trace's uuid, when it started (ms; NO_TIME where pi did not record it), tokens
(input, output, cache read, cache write), its cost (US dollars), and whether it is the first that a prompt
led to."""


class CountedFile(Struct):
    """What was found in one session file besides its events.

    Attributes:
        events, calls: how many there are, and how many of them are generations.
        name, first_prompt: what a person knows the session by.
        words_at: the lines that these two stand in, 0 for none; None where nobody can tell.
        subagent: the name of the subagent whose session it is.
        issues: what was wrong with it.
        open_traces: the ids of the traces that were still being collected at its end.
        is_final: whether there will be no more records as long as nothing is written.
        error: why it could not be read.
    """

    events: int = 0
    calls: int = 0
    name: str | None = None
    first_prompt: str | None = None
    words_at: tuple[int, int] | None = None
    subagent: str | None = None
    issues: list[Issue] = field(default_factory=list)
    open_traces: list[bytes] = field(default_factory=list)
    is_final: bool = False
    error: str | None = None


class Columns(Struct):
    """Events of some files, in the order of the files and of their records.

    Attributes:
        files: the files.
        model_names: the models that the events name by their place here; the first stands for none.
        events: an EVENT for each. Of some ids only the first 16 bytes of the fingerprint are there (see
            :func:`parsers.identity.fingerprint`).
        calls: a CALL for each generation.
    """

    files: list[CountedFile] = field(default_factory=list)
    model_names: list[str] = field(default_factory=lambda: [""])
    events: bytearray = field(default_factory=bytearray)
    calls: bytearray = field(default_factory=bytearray)


def as_bytes(uuid: str) -> bytes:
    """The 16 bytes of a UUID."""
    return bytes.fromhex(uuid.replace("-", ""))
