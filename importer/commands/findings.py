"""What was skipped in an import and what was wrong in its files: for JSON, and as lines on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from importer.quoting import encodable

if TYPE_CHECKING:
    from importer.plan.plan import Plan
    from importer.screen.console import Screen
    from importer.settings import Settings

MAX_LINES = 20
MAX_HARMLESS = 3  # extensions leave many other files among the sessions


class Findings(NamedTuple):
    """What was skipped and what was wrong.

    Attributes:
        lines: one for each; files that should have been read come first.
        harmless: the number of files without a session that have no line.
        code: the exit code: 1 if a file that should have been read could not be, else 0.
    """

    lines: list[str]
    harmless: int
    code: int

    def warn(self, screen: Screen) -> None:
        """Print the findings on stderr."""
        warn_some(self.lines, screen)
        if self.harmless:
            screen.warn(f"{self.harmless} files that hold no session skipped; --json lists them")


def collect_findings(plan: Plan) -> Findings:
    """Collect what was skipped in a plan, and what was wrong in its files."""
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


def warn_some(lines: list[str], screen: Screen) -> None:
    """Print the first lines on stderr, and how many more there are."""
    for line in lines[:MAX_LINES]:
        screen.warn(line)
    if len(lines) > MAX_LINES:
        screen.warn(f"… and {len(lines) - MAX_LINES} more; --json lists all of them")


def warn_of_prices(settings: Settings, screen: Screen) -> None:
    """Print on stderr what is wrong with the file of prices, if anything is."""
    if settings.prices.problem:
        screen.warn(settings.prices.problem)


def findings_json(plan: Plan) -> dict[str, Any]:
    """Return the skipped files, and what was wrong in the files that were read, for ``--json``."""
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
