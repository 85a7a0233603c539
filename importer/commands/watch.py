"""What `pi2posthog watch` does, without its options."""

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
from importer.commands.request import Request, default_ledger
from importer.deliver.endpoint import plain_http_warning
from importer.deliver.retry import RetryPolicy
from importer.errors import UsageError
from importer.quoting import printable
from importer.screen.console import Screen
from importer.screen.live import Log
from importer.screen.live import Screen as LiveScreen
from importer.sessions.sources import source_of, unread
from importer.sessions.storage import RemotePath
from importer.settings import Settings
from importer.watch.sender import ENDLESS, Sender
from importer.watch.watcher import Watcher, WatchOptions

CLOSE_S = 5.0
DAY_MS = 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class WatchRequest:
    """What watch is asked for.

    Attributes:
        paths: session files and folders; none means the agent's own folders.
        origin: what ``--from`` says: an agent, or one more path; None means pi.
        state: the ledger's file; None means the default.
        history: deliver all history first.
        new_only: leave out what was written before the start.
        settle_s: how long it must be quiet after a final stop before a run's trace is sent, in seconds.
        once: one pass, then the end.
        poll: do not use the platform's observer.
        level: 0 errors only, 1 a line a batch, 2 more.
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


def watch(request: WatchRequest, settings: Settings, screen: Screen) -> int:
    """Send what is new while pi runs, until a signal comes.

    Returns:
        The exit code: 0, or 1 if the history or an event of the one pass could not be delivered.

    Raises:
        UsageError: no API key, no such agent, or another process has the ledger.
        Pi2PosthogError: PostHog or the ledger refuses for good.
    """
    if not settings.enabled:
        screen.warn("PostHog is switched off (POSTHOG_ENABLED is false): nothing is sent.")
        return 0
    key = settings.require_api_key()
    source = source_of(request.origin, request.paths)
    if remote := [path for path in source.paths if isinstance(path, RemotePath)]:
        raise UsageError(
            f"watch needs files on this machine, not {printable(remote[0])}: use backfill, again and again"
        )
    if left_out := unread(source):
        screen.warn(f"{left_out[0]}: {left_out[1]}")
    ledger_path = request.state or default_ledger()
    started_ms = round(time.time() * 1000)
    if not request.history and (warning := plain_http_warning(settings.host)):
        screen.warn(warning)
    if request.history:
        with _on_signals(signal.default_int_handler):
            code = backfill(
                Request(request.paths, request.origin, state=ledger_path),
                settings,
                screen,
                yes=True,
                may_renew=False,  # a service that starts by itself must not send all history again
            )
        if code:
            return code
    since_ms = None if request.history else started_ms if request.new_only else started_ms - DAY_MS
    options = WatchOptions(since_ms, round(request.settle_s * 1000), request.poll)
    live = LiveScreen(screen.err, private=settings.privacy_mode) if screen.live and not request.once else None
    log = Log(screen.warn, request.level)
    say, detail = (live.say, _drop) if live else (log.say, log.detail)
    sender = Sender(
        settings,
        key,
        ledger_path,
        on_change=lambda: None if live else log.show(sender.state),
        retry=RetryPolicy() if request.once else ENDLESS,
        say=say,
    )
    watcher = Watcher(source, settings, options, sender, say, detail)
    # watchdog tells its troubles to a logger, which would write them over the screen; sweeps make up for them
    logging.getLogger("watchdog").addHandler(logging.NullHandler())
    with _on_signals(lambda number, frame: watcher.stop()):
        sender.start()
        try:
            if request.once:
                watcher.run_once()
            else:
                with live or nullcontext():
                    watcher.run(lambda: _show(live, watcher, sender))
        finally:
            sender.close(CLOSE_S)
    sender.check()
    left = sender.state.waiting
    if left:
        events = "events are" if left > 1 else "event is"
        screen.warn(f"{left} {events} not delivered yet; the next start sends what is left.")
    return 1 if request.once and sender.state.refused else 0


def _drop(line: str) -> None:
    """Details are for logs; the live view has no room for them."""


def _show(live: LiveScreen | None, watcher: Watcher, sender: Sender) -> None:
    if live:
        activities = [tail.describe() for tail in watcher.tails.values()]
        live.show(activities, watcher.today, sender.state, round(time.time() * 1000))


@contextmanager
def _on_signals(handle: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Have SIGINT and SIGTERM call a function instead of ending the process."""
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
