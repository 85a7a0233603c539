"""``pi2posthog status``: what each destination has, what waits, and which process is running."""

from __future__ import annotations

import time
from datetime import datetime
from itertools import islice
from typing import Any

from rich.table import Table
from rich.text import Text

from importer.commands.request import Request
from importer.errors import UsageError
from importer.ledger.ledger import Ledger
from importer.ledger.locking import find_holder
from importer.places import default_cache
from importer.plan.cache import Cache
from importer.plan.plan import find_event_ids
from importer.quoting import printable
from importer.screen.console import Screen
from importer.sessions.discovery import find_sessions
from importer.settings import Settings
from parsers.times import to_rfc3339

_AT_ONCE = 20_000  # ids that the ledger is asked for


def status(request: Request, settings: Settings, screen: Screen) -> int:
    """Show the state of every destination in the ledger.

    Args:
        request: the sessions to compare with, and the ledger.
        settings: what decides on the ids of events: grouping and distinct id.
        screen: where to show it.

    Returns:
        The exit code, 0.

    Raises:
        UsageError: a path does not exist, or the ledger is none.
    """
    ids = _find_ids(request, settings)
    with Ledger.open(request.ledger_path, read_only=True) as ledger:
        destinations = [
            {
                "host": known.host,
                "key_fingerprint": known.key_fingerprint,
                "delivered": known.delivered,
                "waiting": None if ids is None else _count_waiting(ids, ledger, known.id),
                "last_delivered": _rfc3339(known.last_delivered_ms),
                "last_error": known.last_error,
                "last_error_at": _rfc3339(known.last_error_ms),
            }
            for known in ledger.describe()
        ]
    pid = find_holder(request.ledger_path)
    figures = {
        "ledger": str(request.ledger_path),
        "events": None if ids is None else len(ids),
        "destinations": destinations,
        "running": pid is not None,
        "pid": pid,
    }
    if screen.as_json:
        screen.result(figures)
    else:
        _show(figures, screen)
    return 0


def _count_waiting(ids: set[bytes], ledger: Ledger, destination: int) -> int:
    """Count the events that a destination does not have."""
    left = iter(ids)
    done = 0
    while some := list(islice(left, _AT_ONCE)):
        done += len(ledger.known([destination], some))
    return len(ids) - done


def _find_ids(request: Request, settings: Settings) -> set[bytes] | None:
    """Find the ids of all events of the sessions; None if the agent has no session folder yet."""
    try:
        found = find_sessions(request.paths, request.origin)
    except UsageError:
        if request.paths or request.origin:
            raise
        return None
    path = default_cache()  # status writes nothing: it uses a cache that is there
    with Cache(path if path.exists() else None, settings) as cache:
        return find_event_ids(found, settings, now_ms=round(time.time() * 1000), cache=cache)


def _show(figures: dict[str, Any], screen: Screen) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("destination", overflow="fold")
    for heading in ("delivered", "waiting"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("last", no_wrap=True)
    for row in figures["destinations"]:
        waiting = "-" if row["waiting"] is None else f"{row['waiting']:,}"
        place = Text(f"{printable(row['host'])} ({row['key_fingerprint'][:8]})")
        table.add_row(place, f"{row['delivered']:,}", waiting, _local_time(row["last_delivered"]))
    if figures["destinations"]:
        screen.out.print(table)
    else:
        screen.out.print("Nothing was delivered yet.")
    for row in figures["destinations"]:
        if row["last_error"]:
            where = "" if row["host"] in row["last_error"] else f"{row['host']}: "
            error = f"{where}{row['last_error']} ({_local_time(row['last_error_at'])})"
            screen.out.print(Text("last error  ").append(printable(error), "yellow"))
    running = f"yes (process {figures['pid']})" if figures["running"] else "no"
    screen.out.print(Text(f"running     {running}"))
    screen.out.print(Text("ledger      ").append(printable(figures["ledger"])), soft_wrap=True)


def _rfc3339(ms: int | None) -> str | None:
    return None if ms is None else to_rfc3339(ms)


def _local_time(moment: str | None) -> str:
    return f"{datetime.fromisoformat(moment).astimezone():%Y-%m-%d %H:%M:%S}" if moment else "-"
