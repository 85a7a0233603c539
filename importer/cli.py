"""The command line: commands and their options, and nothing else.

What a command does is in :mod:`importer.commands`, which is imported only when the command runs: `--help` and
`--version` stay quick.
"""

from __future__ import annotations

import gc
from typing import Annotated, Any

import typer

from importer.commands.options import (
    BesideExtension,
    By,
    ContentDays,
    DistinctId,
    Endpoint,
    From,
    Host,
    InputContext,
    Json,
    Limit,
    MaxEventsPerMinute,
    MaxMbPerMinute,
    Parallel,
    Paths,
    Privacy,
    Project,
    Scheduler,
    Settle,
    Since,
    State,
    TraceGrouping,
    Until,
)
from importer.errors import UsageError

app = typer.Typer(
    name="pi2posthog",
    help="Send pi's session files to PostHog LLM analytics: each call once, at the cost that pi recorded.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _collect_rarely() -> None:
    """Run the garbage collector less often: imports and sessions make many objects, but hardly any cycles."""
    gc.set_threshold(100_000, 20, 20)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importer import __version__

        typer.echo(f"pi2posthog {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    pass


@app.command()
def preview(
    paths: Paths = None,
    origin: From = None,
    since: Since = None,
    until: Until = None,
    project: Project = None,
    by: By = "session",
    limit: Limit = "50",
    as_json: Json = False,
    state: State = None,
    scheduler: Scheduler = None,
    host: Host = None,
    privacy_mode: Privacy = None,
    trace_grouping: TraceGrouping = None,
    input_context: InputContext = None,
    distinct_id: DistinctId = None,
    content_days: ContentDays = None,
) -> None:
    """Show what a backfill would send. Sends nothing and needs no API key."""
    _collect_rarely()
    from importer.commands.preview import preview as run
    from importer.commands.request import Request
    from importer.screen.console import Screen
    from importer.settings import check_number, load_settings

    settings = load_settings(
        _flags(host, privacy_mode, trace_grouping, input_context, distinct_id, content_days)
    )
    rows = int(check_number("limit", limit, "--limit"))
    request = Request(paths or (), origin, since, until, project, by, rows, state, scheduler)
    raise typer.Exit(run(request, settings, Screen(as_json=as_json)))


@app.command()
def backfill(
    paths: Paths = None,
    origin: From = None,
    since: Since = None,
    until: Until = None,
    project: Project = None,
    by: By = "session",
    limit: Limit = "50",
    as_json: Json = False,
    state: State = None,
    scheduler: Scheduler = None,
    output: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|FOLDER/",
            help="Write the events as JSON lines instead of sending them: FILE.gz gzipped, FOLDER/ by day, "
            "- to stdout.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Let --output replace an earlier export.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Send without asking, and set a damaged ledger aside.")
    ] = False,
    beside_extension: BesideExtension = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="The same as preview.")] = False,
    host: Host = None,
    privacy_mode: Privacy = None,
    trace_grouping: TraceGrouping = None,
    input_context: InputContext = None,
    distinct_id: DistinctId = None,
    content_days: ContentDays = None,
    endpoint: Endpoint = None,
    parallel: Parallel = None,
    max_events_per_minute: MaxEventsPerMinute = None,
    max_mb_per_minute: MaxMbPerMinute = None,
) -> None:
    """Send what was not delivered yet. You can stop it and run it again: nothing is sent twice."""
    _collect_rarely()
    from importer.commands.backfill import backfill as run
    from importer.commands.preview import preview as run_preview
    from importer.commands.request import Request
    from importer.screen.console import Screen
    from importer.settings import check_number, load_settings

    flags = _flags(host, privacy_mode, trace_grouping, input_context, distinct_id, content_days)
    flags |= {"endpoint": endpoint, "parallel": parallel}
    flags |= {"max_events_per_minute": max_events_per_minute, "max_mb_per_minute": max_mb_per_minute}
    settings = load_settings(flags)
    rows = int(check_number("limit", limit, "--limit"))
    request = Request(paths or (), origin, since, until, project, by, rows, state, scheduler)
    screen = Screen(as_json=as_json)
    code = (
        run_preview(request, settings, screen)
        if dry_run
        else run(
            request,
            settings,
            screen,
            output=output,
            force=force,
            yes=yes,
            beside_extension=beside_extension,
        )
    )
    raise typer.Exit(code)


@app.command()
def watch(
    paths: Paths = None,
    origin: From = None,
    history: Annotated[bool, typer.Option("--backfill", help="Deliver all history first.")] = False,
    new_only: Annotated[bool, typer.Option("--new-only", help="Send only what comes from now on.")] = False,
    settle: Settle = "20",
    once: Annotated[bool, typer.Option("--once", help="Make one pass, then exit (for cron).")] = False,
    poll: Annotated[bool, typer.Option("--poll", help="Poll the files for changes.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
    beside_extension: BesideExtension = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Log errors only.")] = False,
    state: State = None,
    host: Host = None,
    privacy_mode: Privacy = None,
    trace_grouping: TraceGrouping = None,
    input_context: InputContext = None,
    distinct_id: DistinctId = None,
    content_days: ContentDays = None,
    endpoint: Endpoint = None,
) -> None:
    """Send what is new while pi runs: first the last 24 hours, then live until Ctrl-C."""
    from importer.commands.watch import WatchRequest
    from importer.commands.watch import watch as run
    from importer.screen.console import Screen
    from importer.settings import check_number, load_settings

    if history and new_only:
        raise UsageError("--backfill and --new-only exclude each other: leave one of them out")
    flags = _flags(host, privacy_mode, trace_grouping, input_context, distinct_id, content_days)
    settings = load_settings(flags | {"endpoint": endpoint})
    level = 0 if quiet else 2 if verbose else 1
    settle_s = check_number("settle", settle, "--settle")
    request = WatchRequest(
        paths or (), origin, state, history, new_only, settle_s, once, poll, level, beside_extension
    )
    raise typer.Exit(run(request, settings, Screen()))


@app.command()
def status(
    paths: Paths = None,
    origin: From = None,
    as_json: Json = False,
    state: State = None,
    host: Host = None,
) -> None:
    """Show what is delivered and what waits for each destination, and whether a watcher runs."""
    from importer.commands.request import Request
    from importer.commands.status import status as run
    from importer.screen.console import Screen
    from importer.settings import load_settings

    request = Request(paths or (), origin, state=state)
    raise typer.Exit(run(request, load_settings({"host": host}), Screen(as_json=as_json)))


@app.command()
def doctor(
    paths: Paths = None,
    origin: From = None,
    send: Annotated[bool, typer.Option("--send", help="Also send one test event.")] = False,
    as_json: Json = False,
    state: State = None,
    host: Host = None,
) -> None:
    """Check settings, session files, the ledger and PostHog, and say what to do."""
    from importer.commands.doctor import doctor as run
    from importer.commands.request import Request
    from importer.screen.console import Screen

    request = Request(paths or (), origin, state=state)
    raise typer.Exit(run(request, {"host": host}, Screen(as_json=as_json), send=send))


def _flags(
    host: str | None,
    privacy_mode: bool | None,
    trace_grouping: str | None,
    input_context: str | None,
    distinct_id: str | None,
    content_days: str | None,
) -> dict[str, Any]:
    return {
        "host": host,
        "privacy_mode": privacy_mode,
        "trace_grouping": trace_grouping,
        "input_context": input_context,
        "distinct_id": distinct_id,
        "content_days": content_days,
    }
