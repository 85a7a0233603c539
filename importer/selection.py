"""What the user asked for: a period and a project."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Selection:
    """What the user asked for: a period (ms; the end is exclusive) and a project (may hold ``*``)."""

    since_ms: int | None = None
    until_ms: int | None = None
    project: str | None = None

    @property
    def is_period(self) -> bool:
        """Whether a period was asked for."""
        return self.since_ms is not None or self.until_ms is not None


EVERYTHING = Selection()
