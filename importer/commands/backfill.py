"""``pi2posthog backfill``: sends what was not delivered yet, or writes all of it to files."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from importer.commands.extension import REMEDY, describe_extension, find_extension, refuse_extension
from importer.commands.findings import collect_findings, findings_json, warn_of_prices, warn_some
from importer.commands.ledgers import (
    TRACE_DAYS,
    describe_unanswered,
    mark_delivered,
    open_ledger,
    warn_first_time,
    warn_unanswered,
)
from importer.commands.request import Request, choose_backfill, choose_counter, connect
from importer.deliver.backfill import Backfill
from importer.deliver.endpoint import plain_http_warning
from importer.deliver.output import Output
from importer.deliver.remote_output import is_stdout, output_of
from importer.errors import DamagedLedgerError, Pi2PosthogError, UsageError
from importer.places import default_cache
from importer.plan.cache import Cache
from importer.plan.plan import Plan, make_plan
from importer.plan.report import make_report
from importer.quoting import printable
from importer.screen.amounts import format_count, format_numbers_only, format_size
from importer.screen.console import Screen
from importer.screen.progress import ProgressDisplay
from importer.selection import Selection
from importer.sessions.discovery import Discovery, find_sessions
from importer.sessions.paths import resolve
from importer.sessions.sources import source_of
from importer.settings import Settings
from parsers.agents import PI

if TYPE_CHECKING:
    from importer.cluster.client import Cluster

_INTERRUPTED = "Interrupted. What was delivered is remembered: run the same command again to go on."


def backfill(
    request: Request,
    settings: Settings,
    screen: Screen,
    *,
    output: str | Path | None = None,
    force: bool = False,
    yes: bool = False,
    may_set_aside: bool = True,
    beside_extension: bool = False,
) -> int:
    """Send what was not delivered yet, or write everything to files.

    Example::

        backfill(Request(["sample_sessions"]), Settings(api_key="phc_…"), Screen(), yes=True)

    Args:
        request: what to send.
        settings: how to send it.
        screen: where to show it.
        output: a file, or a folder with a trailing slash, to write the events to instead of sending them.
        force: let ``output`` replace a file that holds an export.
        yes: do not ask before sending, nor before a damaged ledger is set aside.
        may_set_aside: whether a damaged ledger may be set aside at all.
        beside_extension: send although pi also runs PostHog's own extension, which sends the same calls.

    Returns:
        The exit code: 0 if all is delivered, 1 if something is not.

    Raises:
        UsageError: no API key, a wrong path, date or grouping, a file or folder to write to that must stay as
            it is, or PostHog's own extension runs, too, and nobody can be asked.
    """
    if not settings.enabled:
        screen.warn("PostHog is switched off (POSTHOG_ENABLED is false): nothing was sent.")
        if screen.as_json:
            screen.result({"enabled": False, "delivered": 0, "already_delivered": 0, "failed": 0})
        return 0
    target = _choose_target(output, request, screen, force=force)
    key = "" if target else settings.require_api_key()
    selection = request.selection()
    started_s = time.monotonic()
    with connect(request.scheduler) as cluster:
        found = find_sessions(request.paths, request.origin)
        asks = not (target or beside_extension or request.until)
        if not _accept_extension(found, screen, asks=asks):
            return 0
        plan = _make_plan(found, settings, selection, screen, cluster)
        if target:
            work = Backfill(plan, settings)
            left = "Not all of it was written." if is_stdout(output or "") else "Nothing was written."
            code = _deliver(work, screen, lambda: work.write(target), f"Interrupted. {left}")
        else:
            ledger = open_ledger(
                request.ledger_path,
                lambda ledger: mark_delivered(plan, ledger, settings),
                lambda error: may_set_aside and _may_set_aside(error, screen, yes=yes),
                screen.warn,
            )
            with ledger:
                work = choose_backfill(cluster, plan, settings)
                for warning in (plain_http_warning(settings.host), warn_unanswered(ledger, settings)):
                    if warning:
                        screen.warn(warning)
                first_time = warn_first_time(plan, ledger, settings)
                if not _confirm(work, settings, screen, first_time, yes=yes):
                    return 0
                code = _deliver(work, screen, lambda: work.send(key, ledger))
    if output is not None and not screen.as_json:
        if not code:  # else it was said why, and nothing is there
            _show_written(work, output, settings, screen)
    else:
        _show(work, plan, selection, request, settings, screen, time.monotonic() - started_s)
    findings = collect_findings(plan)
    findings.warn(screen)
    warn_of_prices(settings, screen)
    return code or findings.code


def _choose_target(
    output: str | Path | None, request: Request, screen: Screen, *, force: bool
) -> Output | None:
    """Return where ``--output`` writes, before anything is read; None to send the events.

    Raises:
        UsageError: options that exclude each other, or something there must stay as it is.
    """
    if output is None:
        if force:
            raise UsageError("--force goes with --output: it lets that replace an earlier export")
        return None
    if not str(output):
        raise UsageError("--output is empty: name a file or a folder, or - for stdout")
    if request.scheduler:
        raise UsageError("--output and --scheduler exclude each other: leave one of them out")
    if screen.as_json and is_stdout(output):
        raise UsageError("--json and --output to stdout exclude each other: leave one of them out")
    return output_of(output, force=force, inputs=source_of(request.origin, request.paths).roots())


def _accept_extension(found: Discovery, screen: Screen, *, asks: bool) -> bool:
    """Warn of PostHog's own extension; where calls could count twice, ask, or refuse if nobody can answer."""
    extension = find_extension() if any(file.agent is PI for file in found.sessions) else None
    if extension is None:
        return True
    if asks and not _can_ask(screen):
        raise refuse_extension(extension)
    screen.warn(f"{describe_extension(extension)}: {REMEDY}")
    if not asks or _ask("Send all of it? [y/N] ", screen):
        return True
    screen.warn("Nothing was sent.")
    return False


def _make_plan(
    found: Discovery, settings: Settings, selection: Selection, screen: Screen, cluster: Cluster | None
) -> Plan:
    now_ms = round(time.time() * 1000)
    with ProgressDisplay(screen) as display, Cache(default_cache(), settings) as cache:
        return make_plan(
            found,
            settings,
            selection,
            now_ms=now_ms,
            on_progress=display.show,
            with_totals=True,
            counter=choose_counter(cluster, settings, now_ms),
            cache=cache,
        )


def _confirm(
    work: Backfill, settings: Settings, screen: Screen, first_time: str | None, *, yes: bool
) -> bool:
    """Ask at a terminal before anything is sent: it cannot be taken back."""
    outcome = work.outcome
    if yes or not outcome.planned or not _can_ask(screen):
        return True
    screen.out.print(
        f"{outcome.planned:,} events ({format_size(outcome.planned_bytes)}) of "
        f"{format_count(outcome.all_files, 'session')} go to {settings.host}. "
        "PostHog cannot delete events selectively.",
        markup=False,
    )
    if outcome.planned_numbers_only and settings.content_days is not None:
        what = format_numbers_only(outcome.planned_numbers_only, settings.content_days)
        screen.out.print(f"{what}.", markup=False)
    if first_time:
        screen.out.print(first_time, markup=False)
    if _ask("Send them? [y/N] ", screen):
        return True
    screen.warn("Nothing was sent.")
    return False


def _may_set_aside(error: DamagedLedgerError, screen: Screen, *, yes: bool) -> bool:
    """Ask whether a damaged ledger may be set aside; where nobody can answer, only --yes allows it."""
    if yes or not _can_ask(screen):
        return yes
    screen.out.print(
        f"The ledger {printable(error.path)} is damaged. With a new one, everything is sent again; PostHog "
        f"stores one copy of each event, but its trace screens count the last {TRACE_DAYS} days twice.",
        markup=False,
    )
    return _ask("Set it aside and begin a new one? [y/N] ", screen)


def _can_ask(screen: Screen) -> bool:
    return screen.live and sys.stdin.isatty()


def _ask(question: str, screen: Screen) -> bool:
    """Ask a question on the screen; anything but yes is a no."""
    try:
        answer = screen.out.input(question, markup=False)
    except EOFError:
        answer = ""
    return answer.strip().lower() in ("y", "yes")


def _deliver(
    work: Backfill, screen: Screen, deliver: Callable[[], None], interrupted: str = _INTERRUPTED
) -> int:
    """Deliver while progress is shown; an error ends it with one line and exit code 1."""
    with ProgressDisplay(screen) as display:
        work.watch(display.show)
        end = ""
        try:
            deliver()
        except KeyboardInterrupt:
            end = interrupted
        except Pi2PosthogError as error:
            end = str(error)
    warn_some(work.outcome.notes, screen)
    unanswered = work.outcome.counters.unanswered
    if last := " ".join(filter(None, (end, describe_unanswered(unanswered) if unanswered else ""))):
        screen.warn(last)
    return 1 if end or work.outcome.left or work.outcome.failed else 0


def _show_written(work: Backfill, output: str | Path, settings: Settings, screen: Screen) -> None:
    """Say what was written to a file or folder; on stderr, where stdout has the events."""
    outcome, place = work.outcome, "stdout" if is_stdout(output) else printable(resolve(output))
    size = format_size(outcome.bytes)
    line = f"Wrote {format_count(outcome.delivered, 'event')} ({size}) to {place}"
    if outcome.counters.shortened:
        line += f"\ncut to fit: {outcome.counters.shortened:,} of them"
    if outcome.numbers_only and settings.content_days is not None:
        line += f"\n{format_numbers_only(outcome.numbers_only, settings.content_days)}."
    if is_stdout(output):
        screen.say(line)
    else:
        screen.out.print(line, markup=False, soft_wrap=True)


def _show(
    work: Backfill,
    plan: Plan,
    selection: Selection,
    request: Request,
    settings: Settings,
    screen: Screen,
    seconds: float,
) -> None:
    """Show what the backfill did."""
    outcome, counters = work.outcome, work.outcome.counters
    figures = {
        "delivered": outcome.delivered,
        "already_delivered": outcome.already_delivered,
        "failed": outcome.failed,
        "left": outcome.left,
        "numbers_only": outcome.numbers_only,
        "trimmed": counters.trimmed + counters.shortened,
        "sent_bytes": counters.event_bytes or outcome.bytes,
        "sent_gzip_bytes": counters.gzip_bytes,
        "requests": counters.requests,
        "retries": counters.retries,
        "unanswered": counters.unanswered,
    }
    if screen.as_json:
        notes = {"notes": [printable(note) for note in outcome.notes]}
        screen.result(
            make_report(plan, settings, request.by, selection) | figures | notes | findings_json(plan)
        )
    else:
        from importer.screen.tables import show_summary  # imports rich, a tenth of the time of all imports

        more = {"cost_usd": outcome.cost_usd, "unpriced_calls": outcome.unpriced}
        show_summary(screen.out, figures | more | {"content_days": settings.content_days}, seconds)
