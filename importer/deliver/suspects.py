"""Tells one event that PostHog does not take from a server that takes nothing."""

from __future__ import annotations

from importer.build.envelope import Envelope
from importer.errors import RefusedError

MOST_IN_A_ROW = 10

Suspect = tuple[Envelope, RefusedError]


class Suspects:
    """Events that were refused alone (400): what becomes of them depends on what happens to the others."""

    def __init__(self) -> None:
        self._works = False
        self._in_a_row = 0
        self._held: list[Suspect] = []

    def accepted(self) -> list[Suspect]:
        """Note that the server took something; gives the events that were at fault themselves."""
        self._works, self._in_a_row = True, 0
        held, self._held = self._held, []
        return held

    def refused(self, envelope: Envelope, error: RefusedError) -> list[Suspect]:
        """Note an event that was refused alone; gives the events that were at fault themselves.

        Raises:
            RefusedError: too many in a row were refused: it is not the fault of the events.
        """
        self._in_a_row += 1
        if self._in_a_row >= MOST_IN_A_ROW:
            raise error
        if self._works:
            return [(envelope, error)]
        self._held.append((envelope, error))
        return []

    def check(self) -> None:
        """Raise if everything was refused so far, for then nothing shows that an event is at fault."""
        if self._held:
            raise self._held[-1][1]
