"""``pi2posthog doctor``: checks everything that delivery needs, and says what to do about it."""

from __future__ import annotations

import platform
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from importer import __version__
from importer.commands.checks import (
    Check,
    check_error,
    check_extension,
    check_ledger,
    check_sessions,
    check_settings,
)
from importer.commands.request import Request
from importer.commands.server_checks import check_server, send_test_event
from importer.errors import UsageError
from importer.quoting import printable
from importer.screen.amounts import format_count
from importer.screen.console import Screen
from importer.settings import Settings, load_settings
from parsers.agents import AGENTS, PI

_COLOURS = {"ok": "green", "warning": "yellow", "problem": "bold red"}
_TITLES = {
    "program": "Program",
    "settings": "Settings",
    "sessions": "Sessions",
    "ledger": "Ledger",
    "posthog": "PostHog",
}
_MAX_WIDTH = 100


def doctor(request: Request, flags: Mapping[str, object], screen: Screen, *, send: bool = False) -> int:
    """Check settings, session files, the ledger and PostHog. Changes nothing.

    Args:
        request: the sessions and the ledger to check.
        flags: settings from the command line.
        screen: where to show it.
        send: also send one test event.

    Returns:
        The exit code: 0, or 1 if there is a problem.

    Raises:
        UsageError: a flag or path is wrong.
    """
    settings, checks = _check_settings(flags)
    checks = [_check_versions(), *checks, *check_sessions(request.paths, request.origin)]
    if AGENTS.get(request.origin or PI.name, PI) is PI:
        checks += check_extension()
    checks += check_ledger(request.ledger_path)
    checks += _check_posthog(settings, send=send)
    problems = sum(check.state == "problem" for check in checks)
    warnings = sum(check.state == "warning" for check in checks)
    if screen.as_json:
        rows = [_to_json(check) for check in checks]
        screen.result({"problems": problems, "warnings": warnings, "checks": rows})
    else:
        _show(screen.out, checks, problems, warnings)
    return 1 if problems else 0


def _check_versions() -> Check:
    versions = {
        "pi2posthog": __version__,
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
    }
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    return Check("program", "versions", "ok", f"{named}, {platform.system()}", data=versions)


def _check_settings(flags: Mapping[str, object]) -> tuple[Settings | None, list[Check]]:
    """Load the settings, or say what is wrong with them; raise UsageError for a wrong flag."""
    try:
        settings = load_settings(flags)
        return settings, list(check_settings(settings))
    except UsageError as error:
        try:
            load_settings()
        except UsageError as own:
            return None, [check_error("settings", "values", own)]
        raise error from None


def _check_posthog(settings: Settings | None, *, send: bool) -> Iterator[Check]:
    if settings is None:
        yield Check("posthog", "reachable", "warning", "not tried", "correct the settings first")
        return
    yield from check_server(settings)
    if send:
        yield send_test_event(settings)


def _to_json(check: Check) -> dict[str, Any]:
    return {
        "section": check.section,
        "name": check.name,
        "state": check.state,
        "found": printable(check.found),
        "advice": printable(check.advice) or None,
        "data": dict(check.data),
    }


def _show(console: Console, checks: Sequence[Check], problems: int, warnings: int) -> None:
    """Print the checks by section, and the number of problems and warnings."""
    width = max(len(check.name) for check in checks)
    for section, title in _TITLES.items():
        console.print(Text(title, "bold"))
        for check in checks:
            if check.section == section:
                _show_check(console, check, width)
    if not problems and not warnings:
        console.print(Text("All is well.", "green"))
        return
    counts = [(problems, "problem"), (warnings, "warning")]
    named = ", ".join(format_count(count, name) for count, name in counts if count)
    console.print(Text(f"{named}.", "bold red" if problems else "yellow"))


def _show_check(console: Console, check: Check, width: int) -> None:
    """Print a check: its state, its name, and what was found, wrapped into a column of its own."""
    indent = len("problem") + 2
    room = max(20, min(_MAX_WIDTH, console.width) - indent - width - 2)
    lines = Text(printable(check.found)).wrap(console, room, overflow="fold")
    if check.advice:
        lines.extend(Text(f"→ {printable(check.advice)}").wrap(console, room, overflow="fold"))
    start = Text.assemble((check.state.ljust(indent), _COLOURS[check.state]), check.name.ljust(width + 2))
    for line in lines:
        line.rstrip()
        console.print(start.append_text(line), soft_wrap=True)
        start = Text(" " * (indent + width + 2))
