"""The command line: its commands and options. The work is in :mod:`importer.commands.backfill`."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Annotated, Any

import typer

from importer.errors import UsageError

app = typer.Typer(
    name="pi2posthog",
    help="Send pi's session files to PostHog LLM analytics: each call once, at the cost that pi recorded.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_SETTINGS = "Settings (they win over environment and posthog.json)"

Paths = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATH",
        help="Session files or folders; s3://… and the like, too. Default: the agent's own session folders.",
    ),
]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="AGENT|PATH",
        help="Whose sessions: pi, openclaw or omp. Or the path of some, of any of them.",
    ),
]
Since = Annotated[str | None, typer.Option(help="Only what ended then or later: 2026-11-01, 7d, yesterday.")]
Until = Annotated[str | None, typer.Option(help="Only what ended up to then; a date is the whole day.")]
Project = Annotated[str | None, typer.Option(help="Only this project; * stands for anything.")]
By = Annotated[str, typer.Option(metavar="session|day|project|model", help="What a row of the table is.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout instead of tables.")]
State = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The ledger of what was delivered. Default: in the state folder."),
]
Scheduler = Annotated[
    str | None,
    typer.Option(metavar="tcp://HOST:PORT", help="Have the workers of that Dask cluster read and send."),
]
Host = Annotated[str | None, typer.Option(help="PostHog's address.", rich_help_panel=_SETTINGS)]
Privacy = Annotated[
    bool | None,
    typer.Option(
        "--privacy-mode/--no-privacy-mode",
        help="Send no prompts, answers or paths.",
        rich_help_panel=_SETTINGS,
    ),
]
TraceGrouping = Annotated[
    str | None, typer.Option(metavar="message|session", help="What a trace is.", rich_help_panel=_SETTINGS)
]
InputContext = Annotated[
    str | None, typer.Option(metavar="full|turn|new", help="What $ai_input holds.", rich_help_panel=_SETTINGS)
]
DistinctId = Annotated[
    str | None, typer.Option(help="The person whose events these are.", rich_help_panel=_SETTINGS)
]
Endpoint = Annotated[
    str | None,
    typer.Option(
        metavar="auto|batch|ai",
        help="Which of PostHog's endpoints takes AI events.",
        rich_help_panel=_SETTINGS,
    ),
]


def _collect_rarely() -> None:
    gc.set_threshold(100_000, 20, 20)  # imports and sessions make many objects, and hardly any circles


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
    as_json: Json = False,
    state: State = None,
    scheduler: Scheduler = None,
    host: Host = None,
    privacy_mode: Privacy = None,
    trace_grouping: TraceGrouping = None,
    input_context: InputContext = None,
    distinct_id: DistinctId = None,
) -> None:
    """Show what a backfill would send. Sends nothing, needs no API key."""
    _collect_rarely()
    from importer.commands.preview import preview as run
    from importer.commands.request import Request
    from importer.screen.console import Screen
    from importer.settings import load_settings

    settings = load_settings(_flags(host, privacy_mode, trace_grouping, input_context, distinct_id))
    request = Request(paths or (), origin, since, until, project, by, as_json, state, scheduler)
    raise typer.Exit(run(request, settings, Screen(as_json=as_json)))


@app.command()
def backfill(
    paths: Paths = None,
    origin: From = None,
    since: Since = None,
    until: Until = None,
    project: Project = None,
    by: By = "session",
    as_json: Json = False,
    state: State = None,
    scheduler: Scheduler = None,
    output: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|FOLDER/",
            help="Write the events as JSON lines instead of sending them: .gz gzipped, FOLDER/ by day.",
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask: send, and set a damaged ledger aside.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="The same as preview.")] = False,
    host: Host = None,
    privacy_mode: Privacy = None,
    trace_grouping: TraceGrouping = None,
    input_context: InputContext = None,
    distinct_id: DistinctId = None,
    endpoint: Endpoint = None,
    parallel: Annotated[
        str | None,
        typer.Option(metavar="N", help="Requests at once (4).", rich_help_panel=_SETTINGS),
    ] = None,
    max_events_per_minute: Annotated[
        str | None,
        typer.Option(metavar="N", help="Send no faster than that.", rich_help_panel=_SETTINGS),
    ] = None,
) -> None:
    """Send what was not delivered yet. It may be stopped and run again: nothing is sent twice."""
    _collect_rarely()
    from importer.commands.backfill import backfill as run
    from importer.commands.preview import preview as run_preview
    from importer.commands.request import Request
    from importer.screen.console import Screen
    from importer.settings import load_settings

    flags = _flags(host, privacy_mode, trace_grouping, input_context, distinct_id)
    flags |= {"endpoint": endpoint, "parallel": parallel, "max_events_per_minute": max_events_per_minute}
    settings = load_settings(flags)
    request = Request(paths or (), origin, since, until, project, by, as_json, state, scheduler)
    screen = Screen(as_json=as_json)
    code = (
        run_preview(request, settings, screen)
        if dry_run
        else run(request, settings, screen, output=output, yes=yes)
    )
    raise typer.Exit(code)


@app.command()
def watch(
    paths: Paths = None,
    origin: From = None,
    history: Annotated[bool, typer.Option("--backfill", help="Deliver all history first.")] = False,
    new_only: Annotated[bool, typer.Option("--new-only", help="Start at the end of each file.")] = False,
    settle: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0, help="Quiet time after which a run that stopped has ended."),
    ] = 20.0,
    once: Annotated[bool, typer.Option("--once", help="One pass, then exit (for cron).")] = False,
    poll: Annotated[bool, typer.Option("--poll", help="Look at the files again and again.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Log errors only.")] = False,
    state: State = None,
    host: Host = None,
    privacy_mode: Privacy = None,
    trace_grouping: TraceGrouping = None,
    input_context: InputContext = None,
    distinct_id: DistinctId = None,
    endpoint: Endpoint = None,
) -> None:
    """Send what is new while pi runs: the last 24 hours that are not delivered, then live, until Ctrl-C."""
    from importer.commands.watch import WatchRequest
    from importer.commands.watch import watch as run
    from importer.screen.console import Screen
    from importer.settings import load_settings

    if history and new_only:
        raise UsageError("--backfill and --new-only exclude each other: leave one of them out")
    flags = _flags(host, privacy_mode, trace_grouping, input_context, distinct_id)
    settings = load_settings(flags | {"endpoint": endpoint})
    level = 0 if quiet else 2 if verbose else 1
    request = WatchRequest(paths or (), origin, state, history, new_only, settle, once, poll, level)
    raise typer.Exit(run(request, settings, Screen()))


@app.command()
def status(
    paths: Paths = None,
    origin: From = None,
    as_json: Json = False,
    state: State = None,
    host: Host = None,
) -> None:
    """Show for each destination what is delivered, what waits, and whether a watcher runs."""
    from importer.commands.status import status as run
    from importer.screen.console import Screen
    from importer.settings import load_settings

    settings = load_settings({"host": host})
    raise typer.Exit(run(paths or (), origin, state, settings, Screen(as_json=as_json)))


@app.command()
def doctor(
    paths: Paths = None,
    origin: From = None,
    send: Annotated[bool, typer.Option("--send", help="Also send one test event.")] = False,
    as_json: Json = False,
    state: State = None,
    host: Host = None,
) -> None:
    """Check settings, session files, the ledger and PostHog, and say what to do. Sends nothing by itself."""
    from importer.commands.doctor import doctor as run
    from importer.screen.console import Screen

    raise typer.Exit(run(paths or (), origin, state, {"host": host}, Screen(as_json=as_json), send=send))


def _flags(
    host: str | None,
    privacy_mode: bool | None,
    trace_grouping: str | None,
    input_context: str | None,
    distinct_id: str | None,
) -> dict[str, Any]:
    return {
        "host": host,
        "privacy_mode": privacy_mode,
        "trace_grouping": trace_grouping,
        "input_context": input_context,
        "distinct_id": distinct_id,
    }
