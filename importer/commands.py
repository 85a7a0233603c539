"""What the commands do, without their options: everything here can be called from Python, too."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import platformdirs

from importer.backfill import Backfill
from importer.damage import LEDGER_NAME
from importer.discovery import find_sessions
from importer.errors import PiPosthogError, UsageError
from importer.ledger import DamagedLedgerError, Ledger
from importer.output import output_of
from importer.periods import check_period, parse_since, parse_until
from importer.plain_http import plain_http_warning
from importer.plan import Plan, Selection, make_plan
from importer.progress import Display
from importer.quoting import encodable, printable, quoted
from importer.renewal import open_ledger
from importer.report import GROUPINGS, report
from importer.screen import Screen
from importer.settings import Settings
from importer.tables import show_groups, show_summary, size

MAX_WARNINGS = 20
_INTERRUPTED = "Interrupted. What was delivered is remembered: run the same command again to go on."
MAX_HARMLESS = 3  # extensions leave many other files among the sessions


@dataclass(frozen=True, slots=True)
class Request:
    """What both commands are asked for.

    Attributes:
        paths: session files and folders; none means the agent's own folders.
        origin: what ``--from`` says: an agent, or one more path; None means pi.
        since, until, project: the selection, as the user wrote it.
        by: what a row of the table is.
        as_json: one JSON object on stdout instead of tables.
        state: the ledger's file; None means the default.
    """

    paths: Sequence[str | Path] = ()
    origin: str | None = None
    since: str | None = None
    until: str | None = None
    project: str | None = None
    by: str = "session"
    as_json: bool = False
    state: Path | None = None

    def selection(self) -> Selection:
        """The selection, checked.

        Raises:
            UsageError: a date cannot be read, or the period is empty.
        """
        now = datetime.now().astimezone()
        since_ms = parse_since(self.since, now) if self.since is not None else None
        until_ms = parse_until(self.until, now) if self.until is not None else None
        check_period(since_ms, until_ms)
        return Selection(since_ms, until_ms, self.project)


def default_ledger() -> Path:
    """The ledger's file where the user names none: in the user's state folder."""
    return Path(platformdirs.user_state_dir("pi-posthog", appauthor=False)) / LEDGER_NAME


def preview(request: Request, settings: Settings, screen: Screen) -> int:
    """Show what a backfill would send; sends and writes nothing.

    Returns:
        The exit code: 0, or 1 if a file that should have been read could not be.

    Raises:
        UsageError: a path, date or grouping is wrong.
    """
    with screen.display() as display:
        plan, selection = _plan(request, settings, display)
    with Ledger.open(request.state or default_ledger(), read_only=True) as ledger:
        delivered = _delivered(ledger, settings, plan)
    figures = report(plan, settings, request.by, selection, delivered)
    figures |= _skipped(plan)
    if screen.as_json:
        screen.result(figures)
    else:
        show_groups(screen.out, figures, private=settings.privacy_mode)
    _warn(plan, screen)
    return _exit_code(plan)


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
    target = output_of(output) if output else None
    key = "" if target else settings.require_api_key()
    started_s = time.monotonic()
    with screen.display() as display:
        plan, selection = _plan(request, settings, display)
    if target:
        work = Backfill(plan, settings, frozenset())
        code = _deliver(work, screen, lambda: work.write(target), "Interrupted. Nothing was written.")
    else:
        ledger, known = open_ledger(
            request.state or default_ledger(),
            lambda ledger: _delivered(ledger, settings, plan),
            lambda error: may_renew and _may_renew(error, screen, yes=yes),
            screen.warn,
        )
        with ledger:
            work = Backfill(plan, settings, known)
            if warning := plain_http_warning(settings.host):
                screen.warn(warning)
            if not _confirmed(work, settings, screen, yes=yes):
                return 0
            code = _deliver(work, screen, lambda: work.send(key, ledger))
    _finish(work, plan, selection, request, settings, screen, time.monotonic() - started_s)
    return code or _exit_code(plan)


def _plan(request: Request, settings: Settings, display: Display) -> tuple[Plan, Selection]:
    if request.by not in GROUPINGS:
        raise UsageError(f"--by: {quoted(request.by)} is not allowed: use {', '.join(GROUPINGS)}")
    selection = request.selection()
    found = find_sessions(request.paths, request.origin)
    now_ms = round(time.time() * 1000)
    return make_plan(found, settings, selection, now_ms=now_ms, on_progress=display.reading), selection


def _delivered(ledger: Ledger, settings: Settings, plan: Plan) -> set[str]:
    """The plan's events that are delivered; without a key, to whichever project at the host."""
    uuids = [event.uuid for event in plan.events]
    if settings.api_key is None:
        return ledger.delivered(None, uuids, host=settings.host)
    return ledger.delivered(ledger.destination_id(settings.host, settings.api_key), uuids)


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
        except PiPosthogError as error:
            end = str(error)
    for note in work.outcome.notes[:MAX_WARNINGS]:
        screen.warn(note)
    _say_more(len(work.outcome.notes), screen)
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
        screen.result(
            report(plan, settings, request.by, selection, work.done) | figures | notes | _skipped(plan)
        )
    else:
        show_summary(screen.out, figures | {"cost_usd": outcome.cost_usd}, seconds)
    _warn(plan, screen)


def _skipped(plan: Plan) -> dict[str, Any]:
    """The files that were left out, and what was wrong inside those that were read."""
    return {
        "skipped_files": [{"path": encodable(s.path), "reason": s.reason} for s in plan.skipped],
        "warnings": [
            {
                "path": encodable(planned.file.path),
                "line": issue.line,
                "count": issue.count,
                "reason": issue.what,
            }
            for planned in plan.files
            for issue in planned.issues
        ],
    }


def _warn(plan: Plan, screen: Screen) -> None:
    """Say on stderr what was left out, a line each; what cost something first."""
    lines = [f"{skipped.path}: {skipped.reason}, skipped" for skipped in plan.skipped if skipped.serious]
    for planned in plan.files:
        for issue in planned.issues:
            more = f" (and {issue.count - 1} more like it)" if issue.count > 1 else ""
            lines.append(f"{planned.file.path}:{issue.line}: {issue.what}{more}")
    harmless = [skipped for skipped in plan.skipped if not skipped.serious]
    if len(harmless) <= MAX_HARMLESS:
        lines += [f"{skipped.path}: {skipped.reason}, skipped" for skipped in harmless]
    for line in lines[:MAX_WARNINGS]:
        screen.warn(line)
    _say_more(len(lines), screen)
    if len(harmless) > MAX_HARMLESS:
        screen.warn(f"{len(harmless)} files that hold no session skipped; --json lists them")


def _say_more(lines: int, screen: Screen) -> None:
    if lines > MAX_WARNINGS:
        screen.warn(f"… and {lines - MAX_WARNINGS} more; --json lists all of them")


def _exit_code(plan: Plan) -> int:
    return 1 if any(s.serious for s in plan.skipped) else 0
