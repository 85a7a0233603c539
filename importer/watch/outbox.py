"""From records to the queue: what is wanted, what nothing has yet, and what the queue had no room for."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from importer.build.events import identify_event
from importer.settings import Settings
from importer.watch.sender import Sender
from importer.watch.tail import Tail
from parsers.records import AnyRecord, Trace


class Outbox:
    """Queues the events of records, each once and in the order of the files.

    Once the queue has refused an event, it gets nothing else until that file was read again from its start:
    so the events of a file stay in order, and what a fork copied is never sent before its parent's.

    Args:
        settings: as for a backfill.
        since_ms: events that ended before are left out; None takes all.
        sender: takes the events, and knows which ones were delivered before.

    Attributes:
        refused: the files that must be read again, in this order.
    """

    def __init__(self, settings: Settings, since_ms: int | None, sender: Sender) -> None:
        self._settings = settings
        self._since_ms = since_ms
        self._sender = sender
        self._identified = False
        self.refused: dict[Path, None] = {}

    def send(
        self, tail: Tail, records: Sequence[AnyRecord], still_open: AbstractSet[str], *, again: bool = False
    ) -> bool:
        """Queue the events of a session's records that nothing has yet.

        Args:
            tail: the session.
            records: what was read of it.
            still_open: traces that another session still collects: a fork's copy of one is left to that.
            again: whether the refused file was read again from its start.

        Returns:
            False if the file must be read again once there is room.
        """
        wanted = [r for r in records if self._since_ms is None or r.end_ms >= self._since_ms]
        wanted = [r for r in wanted if not self._sender.is_pending(r.id)]
        if not wanted:
            return True
        delivered = self._sender.delivered([record.id for record in wanted])
        for record in wanted:
            if record.id in delivered or (isinstance(record, Trace) and record.id in still_open):
                continue
            if (self.refused and not again) or not self._offer(tail, record):
                self.refused.setdefault(tail.path)
                return False
        return True

    def next_refused(self) -> Path | None:
        """The file to read again, if the queue has room for its events."""
        path = next(iter(self.refused), None)
        if path is None:
            return None
        try:
            size = path.stat().st_size
        except OSError:
            size = 0  # reading will tell
        return path if self._sender.has_room(size) else None

    def rename(self, source: Path, target: Path) -> None:
        """Keep a refused file's place under its new name."""
        self.refused = {target if path == source else path: None for path in self.refused}

    def _offer(self, tail: Tail, record: AnyRecord) -> bool:
        """Queue one event; before the first one the `$identify`, unless it was sent in an earlier life."""
        if not self._identified:
            first = identify_event(self._settings)
            if first and not self._sender.delivered([first.uuid]) and not self._sender.offer(first, 0):
                return False
            self._identified = True
        return self._sender.offer(tail.event(record), tail.offset)
