"""``pi2posthog watch``: sends what is new while an agent runs."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from importer.commands.backfill import backfill
from importer.commands.extension import REMEDY, describe_extension, find_extension, refuse_extension
from importer.commands.findings import warn_of_prices
from importer.commands.ledgers import describe_unanswered
from importer.commands.request import Request
from importer.deliver.endpoint import plain_http_warning
from importer.deliver.retry import RetryPolicy
from importer.errors import UsageError
from importer.places import default_ledger
from importer.quoting import printable
from importer.screen.console import Screen
from importer.screen.live import LiveView, WatchLog
from importer.sessions.sources import Source, find_unread, source_of
from importer.sessions.storage import RemotePath
from importer.settings import Settings
from importer.watch.sender import ENDLESS, Sender
from importer.watch.watcher import Watcher, WatchOptions
from parsers.agents import PI
from parsers.times import DAY_MS

CLOSE_S = 5.0  # how long the end waits for events that are not delivered yet


@dataclass(frozen=True, slots=True)
class WatchRequest:
    """What watch is asked for.

    Attributes:
        paths: session files and folders; none means the agent's own folders.
        origin: the value of ``--from``: an agent, or one more path; None means pi.
        state: the ledger's file; None means the default.
        history: deliver all history first.
        new_only: leave out what was written before the start.
        settle_s: for how many seconds a run that stopped must be quiet before its trace is sent.
        once: make one pass, then end.
        poll: poll the files instead of waiting for the platform's events.
        level: how much to log: 0 errors only, 1 a line a batch, 2 everything.
        beside_extension: send although pi also runs PostHog's own extension, which sends the same calls.
    """

    paths: Sequence[str | Path] = ()
    origin: str | None = None
    state: Path | None = None
    history: bool = False
    new_only: bool = False
    settle_s: float = 20.0
    once: bool = False
    poll: bool = False
    level: int = 1
    beside_extension: bool = False


def watch(request: WatchRequest, settings: Settings, screen: Screen) -> int:
    """Send what is new, until SIGINT or SIGTERM.

    Example: one pass over a folder. ::

        watch(WatchRequest(["sessions"], once=True), Settings(api_key="phc_…"), Screen())

    Args:
        request: what to watch, and how.
        settings: how to send.
        screen: where to show it.

    Returns:
        The exit code: 0, or 1 if the history or an event of the one pass could not be delivered.

    Raises:
        UsageError: no API key, no such agent, another process has the ledger, or PostHog's own extension
            runs, too.
        Pi2PosthogError: PostHog or the ledger refuses for good.
    """
    if not settings.enabled:
        screen.warn("PostHog is switched off (POSTHOG_ENABLED is false): nothing is sent.")
        return 0
    settings.require_api_key()
    source = _local_source(request, screen)
    _check_extension(source, request, screen)
    started_ms = round(time.time() * 1000)
    if request.history:
        with _handle_signals(signal.default_int_handler):
            code = backfill(
                Request(request.paths, request.origin, state=request.state),
                settings,
                screen,
                yes=True,
                may_set_aside=False,  # a service that starts by itself must not send all history again
                beside_extension=True,  # checked above
            )
        if code:
            return code
        since_ms = None
    else:
        if warning := plain_http_warning(settings.host):
            screen.warn(warning)
        warn_of_prices(settings, screen)
        since_ms = started_ms if request.new_only else started_ms - DAY_MS
    return _follow(source, since_ms, request, settings, screen)


def _local_source(request: WatchRequest, screen: Screen) -> Source:
    """Return where to look for sessions, which must be on this machine."""
    source = source_of(request.origin, request.paths)
    if remote := [path for path in source.paths if isinstance(path, RemotePath)]:
        raise UsageError(
            f"watch needs files on this machine, not {printable(remote[0])}: run backfill from time to time"
        )
    if skipped := find_unread(source):
        screen.warn(f"{skipped[0]}: {skipped[1]}")
    return source


def _check_extension(source: Source, request: WatchRequest, screen: Screen) -> None:
    """Refuse to send what PostHog's own extension sends, too, unless the user wants that."""
    extension = find_extension() if any(source.agent_in(path) is PI for path in source.paths) else None
    if extension is None:
        return
    if not request.beside_extension:
        raise refuse_extension(extension)
    screen.warn(f"{describe_extension(extension)}: {REMEDY}")


def _follow(
    source: Source, since_ms: int | None, request: WatchRequest, settings: Settings, screen: Screen
) -> int:
    """Follow the session files until a signal, or for one pass."""
    view = LiveView(screen.err, private=settings.privacy_mode) if screen.live and not request.once else None
    log = WatchLog(screen.warn, request.level)
    say, detail = (view.say, _drop) if view else (log.say, log.detail)
    sender = Sender(
        settings,
        settings.require_api_key(),
        request.state or default_ledger(),
        on_change=lambda: None if view else log.show(sender.progress),
        retry=RetryPolicy() if request.once else ENDLESS,
        say=say,
    )
    options = WatchOptions(since_ms, round(request.settle_s * 1000), request.poll)
    watcher = Watcher(source, settings, options, sender, say, detail)
    # watchdog logs its troubles, which would write over the view; sweeps make up for what it misses
    logging.getLogger("watchdog").addHandler(logging.NullHandler())
    with _handle_signals(lambda number, frame: watcher.stop()):
        sender.start()
        if sender.earlier_unanswered:
            say(describe_unanswered(sender.earlier_unanswered))
        try:
            if request.once:
                watcher.run_once()
            else:
                with view or nullcontext():
                    watcher.run(lambda: _show(view, watcher, sender))
        finally:
            sender.close(CLOSE_S)
    sender.check()
    left = sender.progress.left
    if left:
        events = "events are" if left > 1 else "event is"
        screen.warn(f"{left} {events} not delivered yet; the next start sends what is left.")
    if unanswered := sender.counters.unanswered:
        screen.warn(describe_unanswered(unanswered))
    return 1 if request.once and sender.progress.failed else 0


def _drop(line: str) -> None:
    """Drop a detail: the live view has no room for it."""


def _show(view: LiveView | None, watcher: Watcher, sender: Sender) -> None:
    if view:
        activities = [tail.describe() for tail in watcher.tails.values()]
        view.show(activities, watcher.today, sender.progress, round(time.time() * 1000))


@contextmanager
def _handle_signals(handle: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Have SIGINT and SIGTERM call a function instead of ending the process."""
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
