"""What `pi2posthog backfill` does, without its options: it can be called from Python, too."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from importer.commands.findings import findings_of, left_out, say_some
from importer.commands.placing import backfill_on, connected, counter_on
from importer.commands.preview import mark_delivered
from importer.commands.renewal import open_ledger
from importer.commands.request import Request, default_ledger
from importer.deliver.backfill import Backfill
from importer.deliver.endpoint import plain_http_warning
from importer.deliver.output import output_of
from importer.errors import DamagedLedgerError, Pi2PosthogError, UsageError
from importer.plan.cache import Cache, default_cache
from importer.plan.plan import Plan, make_plan
from importer.plan.report import make_report
from importer.quoting import printable
from importer.screen.amounts import size
from importer.screen.console import Screen
from importer.screen.progress import Display
from importer.selection import Selection
from importer.sessions.discovery import find_sessions
from importer.settings import Settings

if TYPE_CHECKING:
    from importer.cluster.client import Cluster

_INTERRUPTED = "Interrupted. What was delivered is remembered: run the same command again to go on."


def backfill(
    request: Request,
    settings: Settings,
    screen: Screen,
    *,
    output: str | Path | None = None,
    yes: bool = False,
    may_renew: bool = True,
) -> int:
    """Send what was not delivered yet, or write everything to a file.

    Args:
        request: what to send.
        settings: how to send it.
        screen: where to show it.
        output: a file or folder to write the events to as JSON lines instead of sending them.
        yes: do not ask before sending, nor before a damaged ledger is set aside.
        may_renew: whether a damaged ledger may be set aside at all.

    Returns:
        The exit code: 0 if all is delivered, 1 if something is not.

    Raises:
        UsageError: no API key, or a path, date or grouping is wrong, or the folder to write to is not empty.
    """
    if not settings.enabled:
        screen.warn("PostHog is switched off (POSTHOG_ENABLED is false): nothing was sent.")
        if screen.as_json:
            screen.result({"enabled": False, "delivered": 0, "already_delivered": 0, "failed": 0})
        return 0
    if output and request.scheduler:
        raise UsageError("--output and --scheduler exclude each other: leave one of them out")
    target = output_of(output) if output else None
    key = "" if target else settings.require_api_key()
    started_s = time.monotonic()
    with connected(request.scheduler) as cluster:
        with screen.display() as display:
            plan, selection = _plan(request, settings, display, cluster)
        if target:
            work = Backfill(plan, settings)
            code = _deliver(work, screen, lambda: work.write(target), "Interrupted. Nothing was written.")
        else:
            ledger = open_ledger(
                request.state or default_ledger(),
                lambda ledger: mark_delivered(plan, ledger, settings),
                lambda error: may_renew and _may_renew(error, screen, yes=yes),
                screen.warn,
            )
            with ledger:
                work = backfill_on(cluster, plan, settings)
                if warning := plain_http_warning(settings.host):
                    screen.warn(warning)
                if not _confirmed(work, settings, screen, yes=yes):
                    return 0
                code = _deliver(work, screen, lambda: work.send(key, ledger))
    _finish(work, plan, selection, request, settings, screen, time.monotonic() - started_s)
    return code or findings_of(plan).code


def _plan(
    request: Request, settings: Settings, display: Display, cluster: Cluster | None
) -> tuple[Plan, Selection]:
    selection = request.selection()
    found = find_sessions(request.paths, request.origin)
    now_ms = round(time.time() * 1000)
    with Cache(default_cache(), settings) as cache:
        plan = make_plan(
            found,
            settings,
            selection,
            now_ms=now_ms,
            on_progress=display.reading,
            with_totals=True,
            counter=counter_on(cluster, settings, now_ms),
            cache=cache,
        )
    return plan, selection


def _confirmed(work: Backfill, settings: Settings, screen: Screen, *, yes: bool) -> bool:
    """Ask at a terminal before anything is sent: it cannot be taken back."""
    outcome = work.outcome
    if yes or not outcome.planned or not (screen.live and sys.stdin.isatty()):
        return True
    files = f"{outcome.planned_files:,} session{'s' if outcome.planned_files != 1 else ''}"
    screen.out.print(
        f"{outcome.planned:,} events ({size(outcome.planned_bytes)}) of {files} go to {settings.host}. "
        "PostHog cannot delete events selectively.",
        markup=False,
    )
    if _asked("Send them? [y/N] ", screen):
        return True
    screen.warn("Nothing was sent.")
    return False


def _may_renew(error: DamagedLedgerError, screen: Screen, *, yes: bool) -> bool:
    """Ask whether a damaged ledger may be set aside; where nobody can answer, only --yes is a yes."""
    if yes or not (screen.live and sys.stdin.isatty()):
        return yes
    screen.out.print(
        f"The ledger {printable(error.path)} is damaged. With a new one, everything is sent again; PostHog "
        "keeps one copy of an event that is sent twice.",
        markup=False,
    )
    return _asked("Set it aside and begin a new one? [y/N] ", screen)


def _asked(question: str, screen: Screen) -> bool:
    try:
        answer = screen.out.input(question, markup=False)
    except EOFError:
        answer = ""
    return answer.strip().lower() in ("y", "yes")


def _deliver(
    work: Backfill, screen: Screen, deliver: Callable[[], None], interrupted: str = _INTERRUPTED
) -> int:
    """Run the delivery under a progress display; errors end it with one line and the exit code 1."""
    with screen.display() as display:
        work.watch(display.sending)
        end = ""
        try:
            deliver()
        except KeyboardInterrupt:
            end = interrupted
        except Pi2PosthogError as error:
            end = str(error)
    say_some(work.outcome.notes, screen)
    if end:
        screen.warn(end)
    return 1 if end or work.outcome.left or work.outcome.failed else 0


def _finish(
    work: Backfill,
    plan: Plan,
    selection: Selection,
    request: Request,
    settings: Settings,
    screen: Screen,
    seconds: float,
) -> None:
    outcome, counters = work.outcome, work.outcome.counters
    figures = {
        "delivered": outcome.delivered,
        "already_delivered": outcome.already_delivered,
        "failed": outcome.failed,
        "left": outcome.left,
        "trimmed": counters.trimmed + counters.shortened,
        "sent_bytes": counters.event_bytes or outcome.bytes,
        "sent_gzip_bytes": counters.gzip_bytes,
        "requests": counters.requests,
        "retries": counters.retries,
    }
    if screen.as_json:
        notes = {"notes": [printable(note) for note in outcome.notes]}
        screen.result(make_report(plan, settings, request.by, selection) | figures | notes | left_out(plan))
    else:
        from importer.screen.tables import show_summary  # brings rich, a tenth of what all imports take

        show_summary(screen.out, figures | {"cost_usd": outcome.cost_usd}, seconds)
    findings_of(plan).warn(screen)
