"""The command line: options in, exit code out. The work is in :mod:`importer.commands`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from importer.errors import PiPosthogError, UsageError

app = typer.Typer(
    name="pi-posthog",
    help="Send pi's session files to PostHog LLM analytics: each call once, at the cost that pi recorded.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_SETTINGS = "Settings (they win over environment and posthog.json)"

Paths = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[PATH]...", help="Session files or folders. Default: pi's own session folder."),
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


@app.callback()
def _version(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True)
    ] = False,
) -> None:
    if version:
        from importer import __version__

        typer.echo(f"pi-posthog {__version__}")
        raise typer.Exit


@app.command()
def preview(
    paths: Paths = None,
    since: Since = None,
    until: Until = None,
    project: Project = None,
    by: By = "session",
    as_json: Json = False,
    state: State = None,
    host: Host = None,
    privacy_mode: Privacy = None,
    trace_grouping: TraceGrouping = None,
    input_context: InputContext = None,
    distinct_id: DistinctId = None,
) -> None:
    """Show what a backfill would send. Sends nothing, writes nothing, needs no API key."""
    from importer.commands import Request, Screen
    from importer.commands import preview as run
    from importer.settings import load_settings

    settings = load_settings(_flags(host, privacy_mode, trace_grouping, input_context, distinct_id))
    request = Request(paths or (), since, until, project, by, as_json, state)
    raise typer.Exit(run(request, settings, Screen(as_json=as_json)))


@app.command()
def backfill(
    paths: Paths = None,
    since: Since = None,
    until: Until = None,
    project: Project = None,
    by: By = "session",
    as_json: Json = False,
    state: State = None,
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the events as JSON lines (.gz: gzipped) instead of sending them."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before sending.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="The same as preview.")] = False,
    host: Host = None,
    privacy_mode: Privacy = None,
    trace_grouping: TraceGrouping = None,
    input_context: InputContext = None,
    distinct_id: DistinctId = None,
) -> None:
    """Send what was not delivered yet. It may be stopped and run again: nothing is sent twice."""
    from importer.commands import Request, Screen
    from importer.commands import backfill as run
    from importer.commands import preview as run_preview
    from importer.settings import load_settings

    settings = load_settings(_flags(host, privacy_mode, trace_grouping, input_context, distinct_id))
    request = Request(paths or (), since, until, project, by, as_json, state)
    screen = Screen(as_json=as_json)
    code = (
        run_preview(request, settings, screen)
        if dry_run
        else run(request, settings, screen, output=output, yes=yes)
    )
    raise typer.Exit(code)


def main() -> None:
    """Run the command line; every error ends as one line on stderr and the exit code that fits it."""
    try:
        app(prog_name="pi-posthog")
    except UsageError as error:
        _fail(str(error), 2)
    except PiPosthogError as error:
        _fail(str(error), 1)
    except KeyboardInterrupt:
        _fail("Interrupted; nothing was sent.", 1)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of a pipe has gone: no traceback for it
        sys.exit(1)


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


def _fail(line: str, code: int) -> None:
    typer.echo(f"pi-posthog: {line}", err=True)
    sys.exit(code)
