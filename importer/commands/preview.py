"""``pi2posthog preview``: what a backfill would send.

A preview of files that have not changed is answered from the cache. Whatever only counting needs is imported
when there is something to count.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from importer.commands.extension import REMEDY, describe_extension, find_extension
from importer.commands.findings import Findings, collect_findings, findings_json, warn_of_prices
from importer.commands.report_cache import load_report, save_report
from importer.commands.request import Request
from importer.ledger.locking import find_target
from importer.places import default_cache
from importer.plan.cache import Cache
from importer.selection import Selection
from importer.sessions.discovery import Discovery, find_sessions
from importer.settings import Settings
from parsers.agents import PI

if TYPE_CHECKING:
    from importer.screen.console import Screen


def preview(request: Request, settings: Settings, screen: Screen) -> int:
    """Show what a backfill would send. Sends nothing, and writes nothing but its cache.

    Example::

        preview(Request(["sample_sessions"], by="day"), Settings(), Screen())

    Args:
        request: what to show.
        settings: what decides on events: grouping, privacy, input context, host and key.
        screen: where to show it.

    Returns:
        The exit code: 0, or 1 if a file that should have been read could not be.

    Raises:
        UsageError: a path, date or grouping is wrong.
    """
    selection = request.selection()
    found = find_sessions(request.paths, request.origin)
    with Cache(default_cache(), settings) as cache:
        digest = cache.make_digest(found.sessions, found.skipped)
        key = partial(_report_key, cache, digest, request, selection, settings)
        figures, findings = load_report(cache, key(), found) or _make_report(
            cache, key, found, request, selection, settings, screen
        )
    if screen.as_json:
        screen.result(figures)
    else:
        from importer.screen.tables import show_report

        show_report(screen.out, figures, private=settings.privacy_mode, limit=request.limit)
    findings.warn(screen)
    if any(file.agent is PI for file in found.sessions) and (extension := find_extension()):
        screen.warn(f"{describe_extension(extension)}: {REMEDY}")
    warn_of_prices(settings, screen)
    return findings.code


def _report_key(
    cache: Cache, digest: bytes, request: Request, selection: Selection, settings: Settings
) -> bytes:
    """Return a digest of all that the report depends on, as it is now."""
    ledger = find_target(request.ledger_path)  # its log is beside the file itself
    others = [ledger, ledger.with_name(ledger.name + "-wal")]
    asked = selection, request.by, settings.api_key, settings.content_days
    return cache.make_report_key(digest, *asked, others=others)


def _make_report(
    cache: Cache,
    key: Callable[[], bytes],
    found: Discovery,
    request: Request,
    selection: Selection,
    settings: Settings,
    screen: Screen,
) -> tuple[dict[str, Any], Findings]:
    """Count the sessions, and save the report if it stays true while no file changes."""
    from importer.commands.ledgers import mark_delivered
    from importer.commands.request import choose_counter, connect
    from importer.ledger.ledger import Ledger
    from importer.plan.plan import make_plan
    from importer.plan.report import make_report
    from importer.screen.progress import ProgressDisplay

    now_ms = round(time.time() * 1000)
    with connect(request.scheduler) as cluster, ProgressDisplay(screen) as display:
        plan = make_plan(
            found,
            settings,
            selection,
            now_ms=now_ms,
            on_progress=display.show,
            counter=choose_counter(cluster, settings, now_ms),
            cache=cache,
        )
    key_before = key()
    with Ledger.open(request.ledger_path, read_only=True) as ledger:
        mark_delivered(plan, ledger, settings)
    figures = make_report(plan, settings, request.by, selection) | findings_json(plan)
    findings = collect_findings(plan)
    can_last = plan.is_final and all(planned.words_at is not None for planned in plan.files)
    if can_last and key_before == key():
        save_report(cache, key_before, figures, findings, plan, found)
    return figures, findings
