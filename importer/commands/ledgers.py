"""The ledger of a command: what it knows of a plan, and how a damaged one is replaced."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from importer.errors import DamagedLedgerError, LedgerError
from importer.ledger.attempts import find_unanswered, has_history
from importer.ledger.damage import move_aside
from importer.ledger.ledger import Ledger
from importer.ledger.ledger_file import one_line_errors
from importer.ledger.locking import find_target, lock, unlock
from importer.quoting import printable
from importer.screen.amounts import format_count, format_size
from parsers.times import DAY_MS

if TYPE_CHECKING:
    from importer.plan.plan import Plan
    from importer.settings import Settings

TRACE_DAYS = 30  # PostHog's `ai_events` keeps so many, and every copy that is sent
MIN_FREE_BYTES = 1_000_000  # what a few batches take in the ledger before they are written back


def mark_delivered(plan: Plan, ledger: Ledger, settings: Settings) -> None:
    """Mark the events of a plan that the ledger has; without an API key, at any project of the host."""
    if settings.api_key is None:
        destinations = ledger.destinations(settings.host)
    else:
        destinations = [ledger.destination_id(settings.host, settings.api_key)]
    plan.mark_delivered(lambda ids: ledger.known(destinations, ids))


def count_recent(plan: Plan) -> int:
    """Count the events of the last 30 days that are not delivered. Trace screens add up copies of those."""
    import pandas as pd

    since = pd.Timestamp(plan.now_ms - TRACE_DAYS * DAY_MS, unit="ms", tz="UTC")
    frame = plan.frame
    return int(((frame["ended_at"] >= since) & (frame["kind"] != "identify") & ~frame["delivered"]).sum())


def warn_first_time(plan: Plan, ledger: Ledger, settings: Settings) -> str | None:
    """Return a line for the question before sending if the ledger knows of nothing sent to this destination.

    Args:
        plan: what is about to be sent.
        ledger: open for writing.
        settings: the host and the key.

    Returns:
        None where the ledger has a history, or nothing is recent enough to be shown twice.
    """
    destination = ledger.destination_id(settings.host, settings.require_api_key())
    if has_history(ledger, destination) or not (recent := count_recent(plan)):
        return None
    return (
        f"This ledger has never sent to {settings.host}. If another machine did, or a ledger that is lost, "
        f"PostHog's trace screens count {format_count(recent, 'event')} of the last {TRACE_DAYS} days twice."
    )


def warn_unanswered(ledger: Ledger, settings: Settings) -> str | None:
    """Return a line about requests of an earlier run that nobody heard the answer of; None without any."""
    destination = ledger.destination_id(settings.host, settings.require_api_key())
    left = len(find_unanswered(ledger, destination))
    if not left:
        return None
    return f"An earlier run was stopped or cut off: {describe_unanswered(left)}"


def describe_unanswered(events: int) -> str:
    """Return a line about events that PostHog may have or not."""
    return (
        f"{format_count(events, 'event')} may have arrived without an answer. Where one did and is sent "
        f"again, PostHog's trace screens count it twice for {TRACE_DAYS} days."
    )


def open_ledger(
    path: Path,
    read: Callable[[Ledger], None],
    agree: Callable[[DamagedLedgerError], bool],
    say: Callable[[str], None],
) -> Ledger:
    """Open a ledger for writing and read from it, which is when most damage shows.

    Args:
        path: the ledger's file.
        read: reads from the ledger; called again with the new one if the first is damaged.
        agree: asked once whether a damaged ledger may be set aside.
        say: takes one line for the user.

    Returns:
        The open ledger.

    Raises:
        DamagedLedgerError: it is damaged, and may not be set aside.
        UsageError, LedgerError: as `Ledger.open`, and if the disk is full.
    """
    path = find_target(path)  # a damaged file is renamed, not a link to it
    try:
        return _open_and_read(path, read)
    except DamagedLedgerError as error:
        if not agree(error):
            raise
    aside = set_aside(path)
    say(f"The damaged ledger is now {printable(aside)}; a new one begins.")
    return _open_and_read(path, read)


def set_aside(path: Path) -> Path:
    """Rename a damaged ledger, so that the next one starts empty; nothing is deleted.

    Returns:
        Its new path.

    Raises:
        UsageError: another process is writing to it.
        LedgerError: it cannot be renamed.
    """
    path = find_target(path)
    with one_line_errors(path):
        locked = lock(path)
        try:
            return move_aside(path)
        finally:
            unlock(locked)


def _open_and_read(path: Path, read: Callable[[Ledger], None]) -> Ledger:
    ledger = Ledger.open(path)
    try:
        _check_room(path)
        read(ledger)
        return ledger
    except BaseException:
        ledger.close()
        raise


def _check_room(path: Path) -> None:
    """Raise LedgerError on a full disk: every run would send the same first batches again."""
    with one_line_errors(path):
        disk = shutil.disk_usage(path.parent)
    if disk.total and disk.free < MIN_FREE_BYTES:  # some network file systems report 0 for both
        raise LedgerError(
            f"The ledger {printable(path)} has no room to grow: {format_size(disk.free)} of disk space are "
            "free, so nothing was sent; make room and run the same command again."
        )
