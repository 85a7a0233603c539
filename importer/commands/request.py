"""What preview and backfill are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import platformdirs

from importer.errors import UsageError
from importer.ledger.damage import LEDGER_NAME
from importer.periods import check_period, parse_since, parse_until
from importer.quoting import quoted
from importer.selection import Selection

GROUPINGS = ("session", "day", "project", "model")


@dataclass(frozen=True, slots=True)
class Request:
    """What both commands are asked for.

    Attributes:
        paths: session files and folders; none means the agent's own folders.
        origin: what ``--from`` says: an agent, or one more path; None means pi.
        since, until, project: the selection, as the user wrote it.
        by: what a row of the table is.
        as_json: one JSON object on stdout instead of tables.
        state: the ledger's file; None means the default.
        scheduler: the address of a Dask cluster whose workers read and send; None means this machine.
    """

    paths: Sequence[str | Path] = ()
    origin: str | None = None
    since: str | None = None
    until: str | None = None
    project: str | None = None
    by: str = "session"
    as_json: bool = False
    state: Path | None = None
    scheduler: str | None = None

    def selection(self) -> Selection:
        """The selection, checked.

        Raises:
            UsageError: a date cannot be read, the period is empty, or there is no such grouping.
        """
        if self.by not in GROUPINGS:
            raise UsageError(f"--by: {quoted(self.by)} is not allowed: use {', '.join(GROUPINGS)}")
        now = datetime.now().astimezone()
        since_ms = parse_since(self.since, now) if self.since is not None else None
        until_ms = parse_until(self.until, now) if self.until is not None else None
        check_period(since_ms, until_ms)
        return Selection(since_ms, until_ms, self.project)


def default_ledger() -> Path:
    """The ledger's file where the user names none: in the user's state folder."""
    return Path(platformdirs.user_state_dir("pi2posthog", appauthor=False)) / LEDGER_NAME
