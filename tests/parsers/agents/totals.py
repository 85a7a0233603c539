"""What a recorded session cost, added up from its lines without the parser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.command import ROOT

RECORDED = ROOT / "tests" / "fixtures" / "agents"


def lines(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of a file."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def usages(path: Path) -> Iterator[dict[str, Any]]:
    """Every usage block of a file, wherever it stands; an entry that stands there twice counts once."""
    for line in {line.get("id"): line for line in lines(path)}.values():
        for holder in (line, line.get("message", {})):
            if "usage" in holder:
                yield holder["usage"]


def spent(path: Path) -> tuple[int, float]:
    """Tokens and US dollars of a file."""
    found = list(usages(path))
    return sum(u["totalTokens"] for u in found), round(sum(u["cost"]["total"] for u in found), 9)
