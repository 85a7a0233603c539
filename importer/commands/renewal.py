"""Opens the ledger of a backfill; a damaged one is set aside if the user agrees, and a new one begun."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from importer.errors import DamagedLedgerError, LedgerError
from importer.ledger.damage import move_aside
from importer.ledger.ledger import Ledger
from importer.ledger.ledger_file import one_line_errors
from importer.ledger.locking import lock, unlock
from importer.quoting import printable
from importer.screen.amounts import size

LEAST_BYTES = 1_000_000  # what some batches take until they are written back


def open_ledger(
    path: Path,
    ask: Callable[[Ledger], None],
    agree: Callable[[DamagedLedgerError], bool],
    say: Callable[[str], None],
) -> Ledger:
    """Open a ledger to write and ask it what is delivered, which is when most damage shows.

    Args:
        path: the ledger's file.
        ask: asks the ledger.
        agree: asked once whether a damaged ledger may be set aside.
        say: takes one line for the user.

    Returns:
        The open ledger.

    Raises:
        DamagedLedgerError: it is damaged, and the user did not agree.
        UsageError, LedgerError: as `Ledger.open`.
    """
    try:
        return _open(path, ask)
    except DamagedLedgerError as error:
        if not agree(error):
            raise
    aside = set_aside(path)
    say(f"The damaged ledger is now {printable(aside)}; a new one begins.")
    return _open(path, ask)


def set_aside(path: Path) -> Path:
    """Rename a damaged ledger, so that the next one to open begins anew; nothing is deleted.

    Returns:
        Where it is now.

    Raises:
        UsageError: another process is writing to it.
        LedgerError: it cannot be renamed.
    """
    with one_line_errors(path):
        locked = lock(path)
        try:
            return move_aside(path)
        finally:
            unlock(locked)


def _open(path: Path, ask: Callable[[Ledger], None]) -> Ledger:
    ledger = Ledger.open(path)
    try:
        _check_room(path)
        ask(ledger)
        return ledger
    except BaseException:
        ledger.close()
        raise


def _check_room(path: Path) -> None:
    """On a full disk every run would send the same first batches again, so it is not begun."""
    with one_line_errors(path):
        disk = shutil.disk_usage(path.parent)
    if disk.total and disk.free < LEAST_BYTES:  # some network file systems tell nothing
        raise LedgerError(
            f"The ledger {printable(path)} has no room to grow: {size(disk.free)} of disk space are free, so "
            "nothing was sent; make room and run the same command again."
        )
