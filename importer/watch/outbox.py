"""From records to the queue: leave out what is old or delivered, and remember what the queue refused."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from importer.build.person import make_identify_event
from importer.settings import Settings
from importer.watch.sender import Sender
from importer.watch.tail import Tail
from parsers.records import AnyRecord, Run, Trace


class Outbox:
    """Queues the events of records, each once and in the order of its file.

    Once the queue has refused an event, it gets no other until that file was read again from its start. So
    the events of a file stay in order, and a fork's copies never go out before its parent's calls.

    Args:
        settings: the same as for a backfill.
        since_ms: leave out events that ended before, in ms since the epoch; None: leave out none.
        sender: takes the events, and knows which were delivered before.

    Attributes:
        refused: the files to read again, in this order.

    Example:
        >>> outbox = Outbox(settings, None, sender)
        >>> outbox.queue(tail, tail.read(), still_open=set())
        True
    """

    def __init__(self, settings: Settings, since_ms: int | None, sender: Sender) -> None:
        self._settings = settings
        self._since_ms = since_ms
        self._sender = sender
        self._has_identified = False
        self.refused: dict[Path, None] = {}

    def queue(
        self, tail: Tail, records: Sequence[AnyRecord], still_open: AbstractSet[str], *, again: bool = False
    ) -> bool:
        """Queue the events of a session's records that are neither queued nor delivered.

        Args:
            tail: the session.
            records: what was read of it.
            still_open: ids of traces that another session still collects; a fork's copy of one is left out.
            again: whether ``records`` come from a refused file that was read again.

        Returns:
            False if the queue is full; the file is in ``refused`` then.
        """
        wanted = [r for r in records if self._since_ms is None or r.end_ms >= self._since_ms]
        wanted = [r for r in wanted if not self._sender.is_pending(r.id)]
        if not wanted:
            return True
        delivered = self._sender.find_delivered([record.id for record in wanted])
        for record in wanted:
            if record.id in delivered or (isinstance(record, Run | Trace) and record.id in still_open):
                continue
            if (self.refused and not again) or not self._offer(tail, record):
                self.refused.setdefault(tail.path)
                return False
        return True

    def find_refused(self) -> Path | None:
        """Return the next file to read again; None if there is none or the queue has no room for it."""
        path = next(iter(self.refused), None)
        if path is None:
            return None
        try:
            size = path.stat().st_size
        except OSError:
            size = 0  # reading the file will say why
        return path if self._sender.has_room(size) else None

    def rename(self, source: Path, target: Path) -> None:
        """Keep the place of a refused file under its new name."""
        self.refused = {target if path == source else path: None for path in self.refused}

    def _offer(self, tail: Tail, record: AnyRecord) -> bool:
        """Offer one event to the queue, and the `$identify` event before the first one ever."""
        if not self._has_identified:
            first = make_identify_event(self._settings, self._sender.identified_ms)
            if first and not self._sender.find_delivered([first.uuid]) and not self._sender.offer(first, 0):
                return False
            self._has_identified = True
        return self._sender.offer(tail.build_event(record), tail.offset)
