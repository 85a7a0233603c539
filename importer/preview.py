"""What `pi-posthog preview` does; what only reading files needs is imported when there are some to read."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from importer.cache import Cache, default_cache
from importer.discovery import Discovery, find_sessions
from importer.findings import Findings, findings_of, left_out
from importer.quoting import encodable
from importer.request import Request, default_ledger
from importer.selection import Selection
from importer.settings import Settings

if TYPE_CHECKING:
    from importer.ledger import Ledger
    from importer.plan import Plan
    from importer.screen import Screen

_WORDS = {"name", "first_prompt"}


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
        figures, findings = _known(cache, key, found) or _counted(
            cache, key, found, request, selection, settings, screen
        )
    if screen.as_json:
        screen.result(figures)
    else:
        from importer.tables import show_groups

        show_groups(screen.out, figures, private=settings.privacy_mode)
    findings.warn(screen)
    return findings.code


def _key(cache: Cache, digest: bytes, request: Request, selection: Selection, settings: Settings) -> bytes:
    """What the figures depend on, as it is now."""
    ledger = request.state or default_ledger()
    others = [ledger, ledger.with_name(ledger.name + "-wal")]
    return cache.figures_key(digest, selection, request.by, settings.api_key, others=others)


def _known(
    cache: Cache, key: Callable[[], bytes], found: Discovery
) -> tuple[dict[str, Any], Findings] | None:
    """The figures, where nothing has changed since they were shown last."""
    known = cache.figures(key())
    if not known:
        return None
    if known["words"]:
        from importer.words import words_of

        files = {encodable(file.path): file for file in found.sessions}
        for row in known["figures"]["groups"]:
            words = words_of(files[row["path"]], known["words"][row["path"]])
            row["name"], row["first_prompt"] = words
    return known["figures"], Findings(*known["findings"])


def _counted(
    cache: Cache,
    key: Callable[[], bytes],
    found: Discovery,
    request: Request,
    selection: Selection,
    settings: Settings,
    screen: Screen,
) -> tuple[dict[str, Any], Findings]:
    from importer.ledger import Ledger
    from importer.placing import connected, counter_on
    from importer.plan import make_plan
    from importer.report import report

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
    figures = report(plan, settings, request.by, selection) | left_out(plan)
    findings = findings_of(plan)
    lines = {encodable(each.file.path): each.words_at for each in plan.files}
    can_last = plan.is_final and None not in lines.values()
    if can_last and before == key():
        silent = [{**row, **dict.fromkeys(_WORDS & row.keys())} for row in figures["groups"]]
        words = lines if request.by == "session" and not settings.privacy_mode else {}
        remembered = {"figures": figures | {"groups": silent}, "findings": list(findings), "words": words}
        cache.remember_figures(before, remembered)
    return figures, findings


def mark_delivered(plan: Plan, ledger: Ledger, settings: Settings) -> None:
    """Note which of a plan's events are delivered; without a key, to whichever project at the host."""
    if settings.api_key is None:
        destinations = ledger.destinations(settings.host)
    else:
        destinations = [ledger.destination_id(settings.host, settings.api_key)]
    plan.mark_delivered(lambda ids: ledger.known(destinations, ids))
