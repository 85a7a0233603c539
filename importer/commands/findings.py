"""What was left out of an import, and what was wrong in the files: for JSON, and as lines on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from importer.quoting import encodable

if TYPE_CHECKING:
    from importer.plan.plan import Plan
    from importer.screen.console import Screen

MAX_WARNINGS = 20
MAX_HARMLESS = 3  # extensions leave many other files among the sessions


class Findings(NamedTuple):
    """What was left out and what was wrong.

    Attributes:
        lines: one for each, what cost something first.
        harmless: how many files that hold no session are not among them.
        code: the exit code: 1 if a file that should have been read could not be.
    """

    lines: list[str]
    harmless: int
    code: int

    def warn(self, screen: Screen) -> None:
        """Say it on stderr."""
        say_some(self.lines, screen)
        if self.harmless:
            screen.warn(f"{self.harmless} files that hold no session skipped; --json lists them")


def findings_of(plan: Plan) -> Findings:
    """What was left out of a plan, and what was wrong in its files."""
    lines = [f"{skipped.path}: {skipped.reason}, skipped" for skipped in plan.skipped if skipped.serious]
    code = 1 if lines else 0
    for planned in plan.files:
        for issue in planned.issues:
            more = f" (and {issue.count - 1} more like it)" if issue.count > 1 else ""
            lines.append(f"{planned.file.path}:{issue.line}: {issue.what}{more}")
    harmless = [skipped for skipped in plan.skipped if not skipped.serious]
    if len(harmless) <= MAX_HARMLESS:
        lines += [f"{skipped.path}: {skipped.reason}, skipped" for skipped in harmless]
        harmless = []
    return Findings(lines, len(harmless), code)


def say_some(lines: list[str], screen: Screen) -> None:
    """Say the first of some lines on stderr, and how many more there are."""
    for line in lines[:MAX_WARNINGS]:
        screen.warn(line)
    if len(lines) > MAX_WARNINGS:
        screen.warn(f"… and {len(lines) - MAX_WARNINGS} more; --json lists all of them")


def left_out(plan: Plan) -> dict[str, Any]:
    """The files that were left out, and what was wrong inside those that were read, for JSON."""
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
