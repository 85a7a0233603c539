"""The events of session files as packed rows: what a worker process hands over for a preview."""

from __future__ import annotations

import struct
from typing import NamedTuple, Protocol

from msgspec import Struct, field

from parsers.records import Generation, Issue

KINDS = ("generation", "span", "trace", "identify", "run")
GENERATION, SPAN, TRACE, IDENTIFY, RUN = range(5)
NO_TIME = -(2**63)
"""Stands for a start that pi did not record."""

COST_BASES = ("", "list", "billed", "subscription", "estimated", "free", "unpriced")
"""Where the cost of a generation comes from; empty for other kinds, and where no tokens were used."""
BASIS_CODES = {basis: code for code, basis in enumerate(COST_BASES)}
"""The places of these in a row."""

ROW = struct.Struct("<16s16sqqqqqqdiiiiiBBB")
"""An event, little-endian, without padding (111 bytes):

- ``id``, ``trace_id``: the 16 bytes of each UUID
- ``started_ms``, ``ended_ms``: ms since the epoch (UTC); ``NO_TIME`` where pi did not record the start
- ``input``, ``output``, ``cache_read``, ``cache_write``: tokens of a generation; 0 for other kinds
- ``cost_usd``: US dollars of a generation as far as they are known; 0 for other kinds
- ``model``: the place of its model in ``CountedFiles.model_names``
- ``full``, ``turn``, ``new``: about how many bytes of JSON the event takes with each input context
- ``bare``: the same without the content that PostHog keeps for 30 days
- ``kind``: its place in ``KINDS``
- ``prompts``: 1 for the first generation that a prompt led to, else 0
- ``cost_basis``: its place in ``COST_BASES``
"""


class CallCost(NamedTuple):
    """US dollars of a model call, the parts that add up to them, and their basis (see ``COST_BASES``)."""

    usd: float
    input_usd: float
    output_usd: float
    basis: str


class CallPricing(Protocol):
    """Tells what model calls cost. What knows settings and prices stands outside of the parsers."""

    def price_call(self, call: Generation) -> CallCost:
        """Return the cost of a call."""

    def basis_of_total(self, provider: str | None) -> str:
        """Return the basis of a cost above 0 that a provider did not bill."""

    def basis_without_total(self, provider: str | None, model: str | None) -> str:
        """Return the basis of a call with tokens and without a cost above 0."""


class CountedFile(Struct):
    """What was found in one session file besides its rows.

    Attributes:
        events: the number of its rows.
        name, first_prompt: what a person knows the session by.
        words_at: the lines that these two stand in, 0 for none; None where nobody can tell.
        subagent: the name of the subagent whose session it is.
        issues: what was wrong with it.
        open_traces: the ids (16 bytes) of the traces and runs that its last line left open.
        is_final: whether there will be no more records unless something is written to it.
        error: why it could not be read.
    """

    events: int = 0
    name: str | None = None
    first_prompt: str | None = None
    words_at: tuple[int, int] | None = None
    subagent: str | None = None
    issues: list[Issue] = field(default_factory=list)
    open_traces: list[bytes] = field(default_factory=list)
    is_final: bool = False
    error: str | None = None


class CountedFiles(Struct):
    """The rows of some session files, in the order of the files and of their records.

    Example:
        >>> counted = CountedFiles()
        >>> [row[-2] for row in ROW.iter_unpack(counted.rows)]
        []

    Attributes:
        files: what else was found, a :class:`CountedFile` a file.
        model_names: the models that rows name by their place here; the first stands for none.
        rows: a ``ROW`` an event.
    """

    files: list[CountedFile] = field(default_factory=list)
    model_names: list[str] = field(default_factory=lambda: [""])
    rows: bytearray = field(default_factory=bytearray)
