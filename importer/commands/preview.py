"""What `pi2posthog preview` does; what only reading files needs is imported when there are some to read."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from importer.commands.findings import Findings, findings_of, left_out
from importer.commands.request import Request, default_ledger
from importer.commands.shown import recalled, remember
from importer.plan.cache import Cache, default_cache
from importer.selection import Selection
from importer.sessions.discovery import Discovery, find_sessions
from importer.settings import Settings

if TYPE_CHECKING:
    from importer.ledger.ledger import Ledger
    from importer.plan.plan import Plan
    from importer.screen.console import Screen


def preview(request: Request, settings: Settings, screen: Screen) -> int:
    """Show what a backfill would send; sends nothing, and writes nothing but its cache.

    Returns:
        The exit code: 0, or 1 if a file that should have been read could not be.

    Raises:
        UsageError: a path, date or grouping is wrong.
    """
    selection = request.selection()
    found = find_sessions(request.paths, request.origin)
    with Cache(default_cache(), settings) as cache:
        key = partial(_key, cache, cache.digest(found.sessions, found.skipped), request, selection, settings)
        figures, findings = recalled(cache, key(), found) or _counted(
            cache, key, found, request, selection, settings, screen
        )
    if screen.as_json:
        screen.result(figures)
    else:
        from importer.screen.tables import show_groups

        show_groups(screen.out, figures, private=settings.privacy_mode)
    findings.warn(screen)
    return findings.code


def _key(cache: Cache, digest: bytes, request: Request, selection: Selection, settings: Settings) -> bytes:
    """What the figures depend on, as it is now."""
    ledger = request.state or default_ledger()
    others = [ledger, ledger.with_name(ledger.name + "-wal")]
    return cache.shown_key(digest, selection, request.by, settings.api_key, others=others)


def _counted(
    cache: Cache,
    key: Callable[[], bytes],
    found: Discovery,
    request: Request,
    selection: Selection,
    settings: Settings,
    screen: Screen,
) -> tuple[dict[str, Any], Findings]:
    from importer.commands.placing import connected, counter_on
    from importer.ledger.ledger import Ledger
    from importer.plan.plan import make_plan
    from importer.plan.report import make_report

    now_ms = round(time.time() * 1000)
    with connected(request.scheduler) as cluster, screen.display() as display:
        plan = make_plan(
            found,
            settings,
            selection,
            now_ms=now_ms,
            on_progress=display.reading,
            counter=counter_on(cluster, settings, now_ms),
            cache=cache,
        )
    before = key()
    with Ledger.open(request.state or default_ledger(), read_only=True) as ledger:
        mark_delivered(plan, ledger, settings)
    figures = make_report(plan, settings, request.by, selection) | left_out(plan)
    findings = findings_of(plan)
    can_last = plan.is_final and all(each.words_at is not None for each in plan.files)
    if can_last and before == key():
        remember(cache, before, figures, findings, plan, found)
    return figures, findings


def mark_delivered(plan: Plan, ledger: Ledger, settings: Settings) -> None:
    """Note which of a plan's events are delivered; without a key, to whichever project at the host."""
    if settings.api_key is None:
        destinations = ledger.destinations(settings.host)
    else:
        destinations = [ledger.destination_id(settings.host, settings.api_key)]
    plan.mark_delivered(lambda ids: ledger.known(destinations, ids))
