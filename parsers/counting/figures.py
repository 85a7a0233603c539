"""What counting a session tells of its events, without records of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from parsers.counting.sizes import Sizes
from parsers.records import AnyRecord


class Figures(Protocol):
    """Takes the figures of events, in the order in which they ended."""

    def records(self, records: Sequence[AnyRecord]) -> None:
        """Events of any kind, as records."""

    def call(
        self,
        own: bytes,
        generation_id: str,
        trace_id: str,
        model: str | None,
        start_ms: int | None,
        end_ms: int,
        tokens: tuple[int, int, int, int],
        cost_usd: float,
        prompt: str | None,
        length: int,
        given: Sizes,
    ) -> int:
        """An answer.

        Args:
            own: the fingerprint of its id (see :func:`parsers.identity.fingerprint`).
            generation_id: the id itself if it asked for tools, else nothing.
            trace_id: its trace.
            model: the model, where pi recorded it.
            start_ms: when it began, in ms, or None where pi did not record it.
            end_ms: when it ended, in ms.
            tokens: input, output, cache read and cache write.
            cost_usd: what it cost, in US dollars.
            prompt: the prompt, if this is the first answer to it.
            length: about its bytes as an output.
            given: the lengths of what it was given.

        Returns:
            A number for the model, for the spans of its calls.
        """

    def span(
        self, own: bytes, trace_id: str, model: int, name: str, start_ms: int, end_ms: int, length: int
    ) -> None:
        """A tool call with its result.

        Args:
            own: the fingerprint of its id.
            trace_id: its trace.
            model: what :meth:`call` gave for the answer that asked for it.
            name: the tool's name.
            start_ms: when it began, in ms.
            end_ms: when it ended, in ms.
            length: about the bytes of its input and output.
        """
