"""What a program can ask of the importer: the functions behind ``import importer``.

Every command of ``pi2posthog`` is made of these calls.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from importer.selection import make_selection
from importer.sessions.session_file import SessionFile
from importer.settings import Settings, check_number, load_settings

if TYPE_CHECKING:
    import pandas as pd

    from importer.deliver.backfill import Backfill, Outcome
    from importer.plan.plan import Plan
    from importer.plan.progress import Progress

__all__ = [
    "backfill",
    "find_sessions",
    "make_plan",
    "read_events",
    "read_generations",
    "read_spans",
    "watch",
]


def find_sessions(*paths: str | Path, agent: str | None = None) -> list[SessionFile]:
    """Find session files.

    Args:
        *paths: files and folders; ``~`` is your home, ``s3://bucket/sessions`` and the like are read with the
            extra ``remote``. Without any, the agent's own folders are searched, as the agent finds them.
        agent: whose sessions they are: ``pi``, ``openclaw`` or ``omp``. By default pi, or what a path shows.

    Returns:
        The sessions, parents before their forks. Files that are no sessions, or cannot be read, are left out.

    Raises:
        UsageError: a path or the agent's folder does not exist.

    Example:
        >>> files = importer.find_sessions("~/.pi/agent/sessions")
        >>> [file.path.name for file in files][:3]
    """
    from importer.sessions.discovery import find_sessions
    from importer.sessions.forks import parents_first

    named = [Path(path).expanduser() if str(path).startswith("~") else path for path in paths]
    return parents_first(find_sessions(named, agent).sessions)


def read_events(files: Sequence[SessionFile], settings: Settings | None = None) -> pd.DataFrame:
    """Read the events that a backfill of some sessions would send, without sending any.

    Args:
        files: the sessions, as `find_sessions` gives them.
        settings: they decide on traces, projects and sizes; by default what `load_settings` finds.

    Returns:
        A row an event: ``id`` and ``trace_id`` (str, UUIDs), ``kind`` (category: generation, span, trace or
        identify), ``file`` (category of str, its path), ``session``, ``project``, ``model`` and ``day``
        (categories of str; local dates), ``started_at`` and ``ended_at`` (datetime64[ms, UTC]; NaT where pi
        recorded no start), ``input_tokens``, ``output_tokens``, ``cache_read_tokens`` and
        ``cache_write_tokens`` (int64), ``cost_usd`` (float64, US dollars; 0 where it is not known),
        ``cost_basis`` (category: list, billed, subscription, estimated, free or unpriced; empty for other
        kinds and without tokens), ``prompts`` (int8: 1 for the first call of a prompt), ``full``, ``turn``
        and ``new`` (int32: about how many bytes the event has with each input context), and ``delivered``
        (bool: whether the ledger says so).

    Raises:
        UsageError: a setting is wrong, or the ledger is damaged.

    Example:
        >>> events = importer.read_events(importer.find_sessions())
        >>> importer.totals(events, by="day").tail(7)
    """
    from importer.commands.ledgers import mark_delivered
    from importer.ledger.ledger import Ledger
    from importer.places import default_ledger
    from importer.plan.frame import name_rows

    settings = settings or load_settings()
    plan = make_plan(files, settings)
    with Ledger.open(default_ledger(), read_only=True) as ledger:
        mark_delivered(plan, ledger, settings)
    return name_rows(plan.frame, [str(planned.file.path) for planned in plan.files])


def read_generations(files: Sequence[SessionFile], settings: Settings | None = None) -> pd.DataFrame:
    """Read the model calls of some sessions.

    Args:
        files: the sessions, as `find_sessions` gives them.
        settings: they decide on traces and projects; by default what `load_settings` finds.

    Returns:
        A row a call, in the order of the files: ``id``, ``trace_id``, ``session``, ``project``, ``agent``
        (``project/subagent`` for a subagent's), ``name`` (chat, compaction …), ``model``, ``provider``,
        ``stop_reason`` (str, missing where pi recorded none), ``started_at`` and ``ended_at``
        (datetime64[ms, UTC]), ``latency_s`` (float64, seconds), the token columns and ``total_tokens``
        (int64), ``cost_usd`` (float64, US dollars; 0 where it is not known), ``cost_basis`` (str: list,
        billed, subscription, estimated, free or unpriced; empty without tokens) and ``is_error`` (bool).

    Raises:
        UsageError: a setting is wrong.
        OSError: a file cannot be read.

    Example:
        >>> calls = importer.read_generations(importer.find_sessions())
        >>> calls.groupby("model")["latency_s"].median()
    """
    from importer.plan.calls import collect_generations

    return collect_generations(files, settings or load_settings(), _now_ms())


def read_spans(files: Sequence[SessionFile], settings: Settings | None = None) -> pd.DataFrame:
    """Read the tool calls of some sessions.

    Args:
        files: the sessions, as `find_sessions` gives them.
        settings: they decide on traces and projects; by default what `load_settings` finds.

    Returns:
        A row a tool call, in the order of the files: ``id``, ``trace_id``, ``session``, ``project``,
        ``agent``, ``name`` (the tool) and ``parent_id`` (the call that asked for it; all str),
        ``started_at`` and ``ended_at`` (datetime64[ms, UTC]), ``latency_s`` (float64, seconds; missing where
        pi did not record it) and ``is_error`` (bool).

    Raises:
        UsageError: a setting is wrong.
        OSError: a file cannot be read.

    Example:
        >>> tools = importer.read_spans(importer.find_sessions())
        >>> tools.groupby("name")["is_error"].mean()
    """
    from importer.plan.calls import collect_spans

    return collect_spans(files, settings or load_settings(), _now_ms())


def make_plan(
    files: Sequence[SessionFile],
    settings: Settings | None = None,
    *,
    since: str | datetime | None = None,
    until: str | datetime | None = None,
    project: str | None = None,
) -> Plan:
    """Plan an import: count every session once, and tell what would be sent.

    Args:
        files: the sessions, as `find_sessions` gives them.
        settings: how they would be sent; by default what `load_settings` finds.
        since: only what ended then or later: a datetime, or as on the command line (``7d``, ``yesterday``,
            ``2026-11-01``).
        until: only what ended before; a date is the whole day.
        project: only that project; ``*`` stands for anything.

    Raises:
        UsageError: a setting, a date or the period is wrong.

    Example:
        >>> plan = importer.make_plan(importer.find_sessions(), since="7d")
        >>> len(plan), importer.totals(plan.frame)["cost_usd"].item()
    """
    from importer.places import default_cache
    from importer.plan.cache import Cache
    from importer.plan.plan import make_plan
    from importer.sessions.discovery import Discovery

    settings = settings or load_settings()
    selection = make_selection(since, until, project)
    with Cache(default_cache(), settings) as cache:
        found = Discovery(list(files))
        return make_plan(found, settings, selection, now_ms=_now_ms(), with_totals=True, cache=cache)


def backfill(
    plan: Plan,
    settings: Settings | None = None,
    *,
    state: str | Path | None = None,
    output: str | Path | None = None,
    force: bool = False,
    beside_extension: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> Outcome:
    """Send the events of a plan that are not delivered yet, each once; or write all of them to a file.

    Args:
        plan: what to send. It knows afterwards what is delivered.
        settings: as for the plan; to send, they hold an API key.
        state: the ledger's file; by default the one that the commands use.
        output: a file (``.gz``: gzipped) or a folder (its name ends in ``/``) to write the events to as JSON
            lines, instead of sending them. The ledger is left alone then.
        force: let ``output`` replace a file that holds an export; no other file is ever replaced.
        beside_extension: send although pi also runs PostHog's own extension, which sends the same calls.
        on_progress: called whenever something has changed.

    Returns:
        What was done: how many events were delivered, refused or left, and lines about them.

    Raises:
        UsageError: no API key, ``output`` must stay as it is, another process uses the ledger, or PostHog's
            own extension runs, too.
        DeliveryError: PostHog did not take the events; call it again to go on.
        LedgerError: the ledger cannot be written; nothing was sent after that.

    Example:
        >>> outcome = importer.backfill(importer.make_plan(importer.find_sessions(), since="7d"))
        >>> print(f"{outcome.delivered} events, ${outcome.cost_usd:.2f}")
    """
    from importer.commands.extension import find_extension, refuse_extension
    from importer.commands.ledgers import mark_delivered
    from importer.deliver.backfill import Backfill
    from importer.deliver.remote_output import output_of
    from importer.ledger.ledger import Ledger
    from importer.places import default_ledger
    from parsers.agents import PI

    settings = settings or load_settings()
    if output is not None:
        target = output_of(output, force=force, inputs=[planned.file.path for planned in plan.files])
        work = _watched(Backfill(plan, settings), on_progress)
        work.write(target)
        return work.outcome
    key = settings.require_api_key()
    is_pi = any(planned.file.agent is PI for planned in plan.files)
    if is_pi and not beside_extension and (extension := find_extension()):
        raise refuse_extension(extension)
    with Ledger.open(state or default_ledger()) as ledger:
        mark_delivered(plan, ledger, settings)
        work = _watched(Backfill(plan, settings), on_progress)
        work.send(key, ledger)
    return work.outcome


def watch(
    settings: Settings | None = None,
    *paths: str | Path,
    agent: str | None = None,
    state: str | Path | None = None,
    history: bool = False,
    new_only: bool = False,
    settle_s: float = 20.0,
    once: bool = False,
    beside_extension: bool = False,
) -> None:
    """Follow session files and send what is new, until SIGINT or SIGTERM; call it in the main thread.

    Args:
        settings: where to send, and what; by default what `load_settings` finds.
        *paths: files and folders, as for `find_sessions`.
        agent: whose sessions they are, as for `find_sessions`.
        state: the ledger's file; by default the one that the commands use.
        history: deliver all history first. Otherwise it begins with the last 24 hours.
        new_only: leave out what was written before the start.
        settle_s: seconds of quiet after which a run that stopped for good has ended.
        once: make one pass, then return.
        beside_extension: send although pi also runs PostHog's own extension, which sends the same calls.

    Raises:
        UsageError: no API key, a number out of range, the ledger is in use, or PostHog's extension runs, too.
        DeliveryError: PostHog refuses the events for good.

    Example:
        >>> importer.watch(importer.load_settings({"project_name": "shop"}))
    """
    from importer.commands.watch import WatchRequest
    from importer.commands.watch import watch as run_watch
    from importer.screen.console import Screen

    check_number("settle", settle_s, "settle_s")
    named = [Path(path).expanduser() if str(path).startswith("~") else path for path in paths]
    ledger = None if state is None else Path(state)
    request = WatchRequest(
        named, agent, ledger, history, new_only, settle_s, once, beside_extension=beside_extension
    )
    run_watch(request, settings or load_settings(), Screen())


def _watched(work: Backfill, on_progress: Callable[[Progress], None] | None) -> Backfill:
    if on_progress:
        work.watch(on_progress)
    return work


def _now_ms() -> int:
    return round(time.time() * 1000)
