"""What `pi2posthog doctor` does: looks at everything that delivery needs and says what to do about it."""

from __future__ import annotations

import platform
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from importer import __version__
from importer.commands.checks import Check, failed, ledger_checks, session_checks, settings_checks
from importer.commands.probe import send_test_event, server_checks
from importer.commands.request import default_ledger
from importer.errors import UsageError
from importer.quoting import printable
from importer.screen.console import Screen
from importer.settings import Settings, load_settings

_COLOURS = {"ok": "green", "warning": "yellow", "problem": "bold red"}
_TITLES = {
    "program": "Program",
    "settings": "Settings",
    "sessions": "Sessions",
    "ledger": "Ledger",
    "posthog": "PostHog",
}
_MAX_WIDTH = 100


def doctor(
    paths: Sequence[str | Path],
    origin: str | None,
    state: Path | None,
    flags: Mapping[str, object],
    screen: Screen,
    *,
    send: bool = False,
) -> int:
    """Check settings, session files, the ledger and PostHog; changes nothing.

    Args:
        paths: session files and folders; none means the agent's own folders.
        origin: what ``--from`` says: an agent, or one more path; None means pi.
        state: the ledger's file; None means the default.
        flags: settings from the command line.
        screen: where to show it.
        send: also send one test event.

    Returns:
        The exit code: 0, or 1 if there is a problem.

    Raises:
        UsageError: a flag or path is wrong.
    """
    settings, checks = _settings(flags)
    checks = [_program(), *checks, *session_checks(paths, origin), *ledger_checks(state or default_ledger())]
    checks += _posthog(settings, send=send)
    problems = sum(check.state == "problem" for check in checks)
    warnings = sum(check.state == "warning" for check in checks)
    if screen.as_json:
        rows = [_row(check) for check in checks]
        screen.result({"problems": problems, "warnings": warnings, "checks": rows})
    else:
        _show(screen.out, checks, problems, warnings)
    return 1 if problems else 0


def _program() -> Check:
    versions = {
        "pi2posthog": __version__,
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
    }
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    return Check("program", "versions", "ok", f"{named}, {platform.system()}", data=versions)


def _settings(flags: Mapping[str, object]) -> tuple[Settings | None, list[Check]]:
    """The settings, or what is wrong with them; a wrong flag raises UsageError."""
    try:
        settings = load_settings(flags)
        return settings, list(settings_checks(settings))
    except UsageError as error:
        try:
            load_settings()
        except UsageError as own:
            return None, [failed("settings", "values", own)]
        raise error from None


def _posthog(settings: Settings | None, *, send: bool) -> Iterator[Check]:
    if settings is None:
        yield Check("posthog", "reachable", "warning", "not tried", "correct the settings first")
        return
    yield from server_checks(settings)
    if send:
        yield send_test_event(settings)


def _row(check: Check) -> dict[str, Any]:
    return {
        "section": check.section,
        "name": check.name,
        "state": check.state,
        "found": printable(check.found),
        "advice": printable(check.advice) or None,
        "data": dict(check.data),
    }


def _show(console: Console, checks: Sequence[Check], problems: int, warnings: int) -> None:
    indent = " " * (len("problem") + 2)
    width = max(len(check.name) for check in checks)
    room = max(20, min(_MAX_WIDTH, console.width) - len(indent) - width - 2)
    for section, title in _TITLES.items():
        console.print(Text(title, "bold"))
        for check in checks:
            if check.section != section:
                continue
            lines = Text(printable(check.found)).wrap(console, room, overflow="fold")
            if check.advice:
                lines.extend(Text(f"→ {printable(check.advice)}").wrap(console, room, overflow="fold"))
            for number, line in enumerate(lines):
                line.rstrip()
                start = (
                    (check.state.ljust(len(indent)), check.name.ljust(width)) if not number else (indent, "")
                )
                mark = Text(start[0], _COLOURS[check.state])
                console.print(
                    mark.append(start[1].ljust(width + 2), "default").append_text(line), soft_wrap=True
                )
    if not problems and not warnings:
        console.print(Text("All is well.", "green"))
        return
    counts = [(problems, "problem"), (warnings, "warning")]
    named = ", ".join(f"{count} {name}{'s' if count > 1 else ''}" for count, name in counts if count)
    console.print(Text(f"{named}.", "bold red" if problems else "yellow"))
