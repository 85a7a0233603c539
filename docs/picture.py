"""Draw `docs/preview.svg`: what `pi2posthog preview` shows of some sample sessions.

Run it in the project's folder: `python docs/picture.py`.
"""

from __future__ import annotations

import io
import re
import time
from pathlib import Path

from rich.console import Console

from importer.plan.plan import make_plan
from importer.plan.report import make_report
from importer.screen.tables import show_report
from importer.selection import EVERYTHING
from importer.sessions.discovery import find_sessions
from importer.settings import load_settings

STORIES = ("tools", "fork", "compaction", "image", "branch", "switch")


def main() -> None:
    """Write the picture."""
    settings = load_settings({}, environ={"HOME": "/nonexistent"})
    found = find_sessions([Path("sample_sessions/0.87.1", story) for story in STORIES])
    plan = make_plan(found, settings, now_ms=round(time.time() * 1000))
    file, kind = plan.frame["file"], plan.frame["kind"]
    plan.delivered[:] = (file < 3) | ((file == 4) & (kind == "span"))  # a row of each state
    console = Console(record=True, width=100, file=io.StringIO(), force_terminal=True)
    console.print("[bold]$ pi2posthog preview[/bold]\n")
    show_report(console, make_report(plan, settings, "session", EVERYTHING), private=False, limit=0)
    picture = console.export_svg(title="pi2posthog preview")
    picture = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)  # no fonts from another host
    Path("docs/preview.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
