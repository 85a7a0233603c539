"""The options that commands share: their types, as typer reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_SETTINGS = "Settings (they win over environment and posthog.json)"

Paths = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATH",
        help="Session files and folders, also s3://… addresses. Default: the agent's own folders.",
    ),
]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="AGENT|PATH",
        help="The agent whose sessions to read: pi, openclaw or omp. Or one more PATH.",
    ),
]
Since = Annotated[str | None, typer.Option(help="Only events from then on: 2026-11-01, 7d, yesterday.")]
Until = Annotated[str | None, typer.Option(help="Only events up to then; a date includes the whole day.")]
Project = Annotated[str | None, typer.Option(help="Only this project; * matches anything.")]
By = Annotated[
    str,
    typer.Option(
        metavar="session|day|project|model",
        help="The rows of the table.",
    ),
]
Limit = Annotated[str, typer.Option(metavar="N", help="At most N rows in the table; 0 shows all.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
Settle = Annotated[str, typer.Option(metavar="SECONDS", help="Take a run as ended after this quiet time.")]
State = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The ledger of what was delivered. Default: in the state folder."),
]
Scheduler = Annotated[
    str | None,
    typer.Option(metavar="tcp://HOST:PORT", help="Read and send on the workers of this Dask cluster."),
]
BesideExtension = Annotated[
    bool,
    typer.Option("--beside-extension", help="Send although pi also runs PostHog's own extension."),
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
    str | None,
    typer.Option(
        metavar="message|session",
        help="What one trace holds.",
        rich_help_panel=_SETTINGS,
    ),
]
InputContext = Annotated[
    str | None, typer.Option(metavar="full|turn|new", help="What $ai_input holds.", rich_help_panel=_SETTINGS)
]
DistinctId = Annotated[
    str | None, typer.Option(help="The person that the events belong to.", rich_help_panel=_SETTINGS)
]
ContentDays = Annotated[
    str | None,
    typer.Option(
        metavar="DAYS|all",
        help="Send older events without prompts and answers. Default: 30, as PostHog deletes them then.",
        rich_help_panel=_SETTINGS,
    ),
]
Endpoint = Annotated[
    str | None,
    typer.Option(
        metavar="auto|batch|ai",
        help="The PostHog endpoint that takes AI events.",
        rich_help_panel=_SETTINGS,
    ),
]
Parallel = Annotated[
    str | None,
    typer.Option(metavar="N", help="Requests at the same time. Default: 4.", rich_help_panel=_SETTINGS),
]
MaxEventsPerMinute = Annotated[
    str | None,
    typer.Option(metavar="N", help="Send at most N events a minute.", rich_help_panel=_SETTINGS),
]
MaxMbPerMinute = Annotated[
    str | None,
    typer.Option(metavar="N", help="Send at most N million bytes a minute.", rich_help_panel=_SETTINGS),
]
