"""What was tried and is not known as delivered: people that were named, and requests without an answer.

These notes survive a kill of this program, but not always a power cut. So a request of 500 events takes 0.9
ms more; waiting for the disk, as the record of its answer does, would take 7 ms.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial

from importer.errors import LedgerError, Pi2PosthogError
from importer.ledger.ledger import Ledger

FRESH_MS = 24 * 3_600_000
KEPT_MS = 30 * FRESH_MS
_SINCE_VERSION = 2  # of the schema


def date_identify(ledger: Ledger, destination: int, person: str, now_ms: int) -> int:
    """Return the time of a person's ``$identify``: when it was first sent to a destination.

    Every resend has the same time, so that PostHog keeps one copy. An attempt of which nothing came for a day
    is forgotten: a project with "drop events older than" would drop the person without a word.

    Args:
        ledger: open for writing.
        destination: from `Ledger.destination_id`.
        person: the uuid of the ``$identify``.
        now_ms: the time now, in ms since the epoch.

    Returns:
        Milliseconds since the epoch.

    Raises:
        UsageError, LedgerError: as `Ledger.record`.

    Example:
        >>> date_identify(ledger, destination, identify.uuid, 1_795_446_000_000)
        1795446000000
    """
    key = (destination, uuid.UUID(person).bytes)
    rows = ledger.run("SELECT identified_ms FROM people WHERE destination = ? AND uuid = ?", key)
    if rows:
        first_ms = int(rows[0][0])
        if now_ms - FRESH_MS <= first_ms <= now_ms or ledger.delivered(destination, [person]):
            return first_ms
    with suppress(LedgerError):  # on a full disk nothing can be recorded as delivered either
        ledger.run("INSERT OR REPLACE INTO people VALUES (?, ?, ?)", (*key, now_ms))
    return now_ms


def has_history(ledger: Ledger, destination: int) -> bool:
    """Tell whether anything was sent to a destination, as far as this ledger knows. Raises as `delivered`."""
    return bool(ledger.run("SELECT 1 FROM delivered WHERE destination = ? LIMIT 1", (destination,))) or bool(
        find_unanswered(ledger, destination)
    )


def find_unanswered(ledger: Ledger, destination: int) -> set[str]:
    """Find the events that were sent and neither taken nor refused: they may be at PostHog or not.

    They are those of requests under way when this program was killed or stopped, or that timed out for good.
    What is delivered since is left out, and what was tried over 30 days ago: PostHog's trace screens keep an
    event no longer. Raises as `Ledger.delivered`.

    Returns:
        Their uuids.
    """
    if ledger.version() < _SINCE_VERSION:  # an older ledger that is only read
        return set()
    since_ms = round(time.time() * 1000) - KEPT_MS
    query = "SELECT uuids FROM under_way WHERE destination = ? AND since_ms >= ?"
    rows = ledger.run(query, (destination, since_ms))
    ids = {joined[at : at + 16] for (joined,) in rows for at in range(0, len(joined), 16)}
    return {str(uuid.UUID(bytes=each)) for each in ids - ledger.known([destination], list(ids))}


class UnderWay:
    """Keeps note of the requests that are under way to a destination.

    A note that cannot be written is left out: trouble with the ledger shows when a yes is recorded. ::

        under_way = UnderWay(ledger, destination)
        settle = under_way.begin(["6f1c…", "90aa…"])
        settle()  # PostHog has answered

    Args:
        ledger: open for writing, by the thread that uses this.
        destination: from `Ledger.destination_id`.
    """

    def __init__(self, ledger: Ledger, destination: int) -> None:
        self._ledger = ledger
        self._destination = destination

    def begin(self, uuids: Iterable[str]) -> Callable[[], None]:
        """Note that a request with these events is about to be made; return what forgets the note."""
        joined = b"".join(uuid.UUID(each).bytes for each in uuids)
        values = (self._destination, joined, round(time.time() * 1000))
        try:
            self._ledger.run("INSERT INTO under_way (destination, uuids, since_ms) VALUES (?, ?, ?)", values)
            number = int(self._ledger.run("SELECT last_insert_rowid()")[0][0])
        except Pi2PosthogError:
            return lambda: None
        return partial(self._end, number)

    def forget_delivered(self) -> None:
        """Forget notes of earlier runs: of events that are all delivered since, and of over 30 days ago."""
        oldest_ms = round(time.time() * 1000) - KEPT_MS
        with suppress(Pi2PosthogError):
            self._ledger.run("DELETE FROM under_way WHERE since_ms < ?", (oldest_ms,))
            left = {uuid.UUID(each).bytes for each in find_unanswered(self._ledger, self._destination)}
            query = "SELECT id, uuids FROM under_way WHERE destination = ?"
            for number, joined in self._ledger.run(query, (self._destination,)):
                if not any(joined[at : at + 16] in left for at in range(0, len(joined), 16)):
                    self._end(number)

    def _end(self, number: int) -> None:
        with suppress(Pi2PosthogError):
            self._ledger.run("DELETE FROM under_way WHERE id = ?", (number,))
